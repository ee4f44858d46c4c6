"""A block as C: a function for each kind of band, and the step that calls them, a loop where bands differ by rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from edgecompress.codegen.constants import Constants
from edgecompress.codegen.ctext import INDENT, comment_text, shape_text, struct_lines
from edgecompress.codegen.program import Argument, Constant, ConstantArg, LiteralArg, ParamsArg, Program, ScratchArg, TensorArg
from edgecompress.codegen.stream.actions import Bring, Compute, Keep, Restore, actions, window_place
from edgecompress.codegen.stream.block import StreamStep, Window
from edgecompress.codegen.stream.rows import row_bytes
from edgecompress.codegen.stream.schedule import Band
from edgecompress.graph import Graph


@dataclass(frozen=True)
class _Turn:
    """A band as a call of the function of its kind: the first rows of input and output that it gets."""

    kind: int
    input_row: int
    output_row: int


@dataclass(frozen=True)
class _Body:
    """The text of a kind of band, and which parameters it has."""

    text: str
    reads: bool
    writes: bool
    brings: bool


def emit_block(program: Program, constants: Constants, number: int, step: StreamStep) -> str:
    """The C of step `number`."""
    return _BlockText(program, constants, number, step).render()


class _BlockText:
    def __init__(self, program: Program, constants: Constants, number: int, step: StreamStep) -> None:
        self._program = program
        self._graph: Graph = program.graph
        self._constants = constants
        self._number = number
        self._step = step
        self._block = step.block
        self._chain = step.block.chain
        self._at = program.plan.scratch_offsets.get(number, 0)
        # Parameter structs by call and text, in the order of their first use.
        self._params: dict[tuple[int, str], str] = {}

    def render(self) -> str:
        bodies: list[_Body] = []
        turns: list[_Turn] = []
        for band in self._block.bands:
            body = self._body(band)
            if body not in bodies:
                bodies.append(body)
            source_rows = [rows for reads in band.reads for tensor, rows in reads.items() if tensor == self._chain.source]
            first = band.tensors[self._chain.source].new.start if body.brings else min((r.start for r in source_rows), default=0)
            turns.append(_Turn(bodies.index(body), first, band.tensors[self._chain.output].new.start))
        parts = [self._comment(), *(f"static const {text};\n" for text in self._struct_texts())]
        parts += [self._function(kind, body) for kind, body in enumerate(bodies)]
        return "\n".join((*parts, self._step_function(bodies, turns)))

    # The comment in front

    def _comment(self) -> str:
        chain, graph = self._chain, self._graph
        kinds = " + ".join(graph.ops[i].kind.lower() for i in self._step.ops)
        ops = f"ops {self._step.ops[0]} to {self._step.ops[-1]}"
        source, output = (f"t{i} {shape_text(graph.tensor(i).shape)}" for i in (chain.source, chain.output))
        came = "called for" if self._block.calls_for_rows else f"at arena + {self._program.plan.offsets[chain.source]}"
        count = len(self._block.bands)
        lines = [
            f"{ops}  {comment_text(kinds, 400)}",
            f"in {count} bands, {_rows(self._block.rows)} of output each, from {source} {came}",
            f"to {output} at arena + {self._program.plan.offsets[chain.output]}; no row is computed twice",
            comment_text(graph.tensor(chain.output).name),
            *(self._window_comment(window) for window in self._block.windows.values()),
        ]
        return "".join(f"// {line}\n" for line in lines)

    def _window_comment(self, window: Window) -> str:
        text = f"  t{window.tensor}: {_rows(window.rows)} of {window.row_bytes} bytes at arena + {self._at + window.offset}"
        if not window.kept_rows:
            return text
        where = "its front" if window.kept_offset is None else f"arena + {self._at + window.kept_offset}"
        return f"{text}; {window.kept_rows} kept for the next band, at {where}"

    # Structs of parameters

    def _struct_texts(self) -> Iterator[str]:
        for (_, text), name in sorted(self._params.items(), key=lambda item: item[0][0]):
            c_type, fields = text.split("\n", 1)
            yield f"{c_type} {name} = {{\n{fields}\n}}"

    def _params_name(self, call: int, argument: ParamsArg) -> str:
        """`params_0_3` for the first variant of call 3 of step 0, `params_0_3_1` for the next."""
        key = (call, f"{argument.c_type}\n{struct_lines(argument.fields, self._constants.symbol)}")
        if key not in self._params:
            stem = f"{argument.c_type.rsplit('_', 1)[-1]}_{self._number}_{call}"
            variants = sum(name == stem or name.startswith(f"{stem}_") for name in self._params.values())
            self._params[key] = f"{stem}_{variants}" if variants else stem
        return self._params[key]

    # One kind of band

    def _body(self, band: Band) -> _Body:
        lines: list[str] = []
        used: dict[str, str] = {}
        flags = {"in": False, "out": False, "first_row": False}
        for action in actions(self._block, band):
            match action:
                case Restore(window, rows):
                    lines.append(f"memcpy({self._window(used, window)}, {self._kept(used, window)}, {len(rows) * window.row_bytes});")
                case Keep(window, rows):
                    last = _plus(self._window(used, window), window_place(window, band, rows.start) // window.row_bytes, window.row_bytes)
                    move = "memmove" if window.kept_offset is None else "memcpy"
                    lines.append(f"{move}({self._kept(used, window)}, {last}, {len(rows) * window.row_bytes});")
                case Bring(window, rows):
                    flags["first_row"] = True
                    to = _plus(self._window(used, window), window_place(window, band, rows.start) // window.row_bytes, window.row_bytes)
                    lines += [
                        f"const int status = {self._program.name}_input_rows(arena, first_row, {len(rows)}, {to});",
                        f"if (status != EC_OK)\n{INDENT * 2}return status;",
                    ]
                case Compute(call):
                    lines.append(self._call(band, call, used, flags))
        declared = [f"int8_t *const {name} = {where};" for name, where in used.items()]
        text = "".join(f"{INDENT}{line}\n" for line in (*declared, *lines))
        return _Body(text, flags["in"], flags["out"], flags["first_row"])

    def _call(self, band: Band, number: int, used: dict[str, str], flags: dict[str, bool]) -> str:
        call = self._chain.calls[number]
        arguments = call.banded(band.tensors[call.output].new)
        texts = [self._argument(band, number, argument, used, flags) for argument in arguments]
        inner = ",\n".join(f"{INDENT * 3}{text}" for text in texts)
        return f"{call.step.function}(\n{inner});"

    def _argument(self, band: Band, number: int, argument: Argument, used: dict[str, str], flags: dict[str, bool]) -> str:
        match argument:
            case TensorArg(tensor=index, c_type=c_type):
                return self._pointer(band, number, index, c_type, used, flags)
            case ConstantArg(constant=None):
                return "NULL"
            case ConstantArg(constant=Constant() as constant):
                return self._constants.symbol(constant)
            case ParamsArg():
                return f"&{self._params_name(number, argument)}"
            case ScratchArg(c_type=c_type):
                return f"({c_type} *)(void *)(arena + {self._at + self._block.scratch_offsets[number]})"
            case LiteralArg(value=value):
                return str(value)
            case _:
                raise TypeError(f"call {number} of a block: no C for {argument}")

    def _pointer(self, band: Band, number: int, index: int, c_type: str, used: dict[str, str], flags: dict[str, bool]) -> str:
        call = self._chain.calls[number]
        written = index == call.output
        tensor = self._chain.owner(index)
        row = band.tensors[tensor].new.start if written else band.reads[number][tensor].start
        size = row_bytes(self._graph.tensor(tensor))
        window = self._block.windows.get(tensor)
        if window is not None:
            text = _plus(self._window(used, window), window_place(window, band, row) // size, size)
        elif written:
            flags["out"] = True
            text = "out"
        else:
            flags["in"] = True
            first = min(rows.start for reads in band.reads for t, rows in reads.items() if t == tensor)
            text = _plus("in", row - first, size)
        return text if c_type == "int8_t" else f"({'' if written else 'const '}{c_type} *){'' if written else '(const void *)'}({text})"

    def _window(self, used: dict[str, str], window: Window) -> str:
        name = f"t{window.tensor}"
        used.setdefault(name, f"(int8_t *)(arena + {self._at + window.offset})")
        return name

    def _kept(self, used: dict[str, str], window: Window) -> str:
        if window.kept_offset is None:
            return self._window(used, window)
        name = f"t{window.tensor}_kept"
        used.setdefault(name, f"(int8_t *)(arena + {self._at + window.kept_offset})")
        return name

    # The functions

    def _function(self, kind: int, body: _Body) -> str:
        parameters = ["uint8_t *arena"]
        parameters += ["const int8_t *in"] if body.reads else []
        parameters += ["int first_row"] if body.brings else []
        parameters += ["int8_t *out"] if body.writes else []
        result, end = ("int", f"{INDENT}return EC_OK;\n") if self._block.calls_for_rows else ("void", "")
        return f"static {result} step_{self._number}_band_{kind}({', '.join(parameters)})\n{{\n{body.text}{end}}}\n"

    def _step_function(self, bodies: Sequence[_Body], turns: Sequence[_Turn]) -> str:
        fallible = self._program.called is not None
        lines = []
        if any(body.reads for body in bodies):
            lines.append(f"const int8_t *const in = (const int8_t *)(arena + {self._program.plan.offsets[self._chain.source]});")
        lines.append(f"int8_t *const out = (int8_t *)(arena + {self._program.plan.offsets[self._chain.output]});")
        if self._block.calls_for_rows:
            lines.append("int status = EC_OK;")
        band = 0
        for run in _runs(turns):
            lines.append(self._run(bodies[run[0].kind], run, band))
            band += len(run)
        if fallible:
            lines.append("return status;" if self._block.calls_for_rows else "return EC_OK;")
        text = "".join(f"{INDENT}{line}\n" for line in lines)
        return f"static {'int' if fallible else 'void'} step_{self._number}(uint8_t *arena)\n{{\n{text}}}\n"

    def _run(self, body: _Body, run: Sequence[_Turn], band: int) -> str:
        """One call, or a loop over bands `band` and on."""
        first = run[0]
        steps = (0, 0) if len(run) == 1 else (run[1].input_row - first.input_row, run[1].output_row - first.output_row)
        arguments = ["arena"]
        source, output = self._graph.tensor(self._chain.source), self._graph.tensor(self._chain.output)
        if body.reads:
            arguments.append(_plus("in", _linear(first.input_row, steps[0], band), row_bytes(source)))
        if body.brings:
            arguments.append(str(_linear(first.input_row, steps[0], band)))
        if body.writes:
            arguments.append(_plus("out", _linear(first.output_row, steps[1], band), row_bytes(output)))
        call = f"step_{self._number}_band_{first.kind}({', '.join(arguments)});"
        fallible = self._block.calls_for_rows
        if fallible:
            call = f"status = {call}"
        if len(run) > 1:
            going = " && status == EC_OK" if fallible else ""
            return f"for (int band = {band}; band < {band + len(run)}{going}; band++)\n{INDENT * 2}{call}"
        return f"if (status == EC_OK)\n{INDENT * 2}{call}" if fallible and band else call


def _runs(turns: Sequence[_Turn]) -> Iterator[list[_Turn]]:
    """Neighbours of one kind whose rows go on evenly."""
    for _, group in groupby(turns, key=lambda turn: turn.kind):
        run: list[_Turn] = []
        for turn in group:
            if len(run) >= 2 and _step(run[-2], run[-1]) != _step(run[-1], turn):
                yield run
                run = []
            run.append(turn)
        yield run


def _step(a: _Turn, b: _Turn) -> tuple[int, int]:
    return b.input_row - a.input_row, b.output_row - a.output_row


def _linear(first: int, step: int, band: int) -> int | str:
    """`first + step * (number - band)` as C, where `number` is called band."""
    if step == 0:
        return first
    product = "band" if step == 1 else f"{step} * band"
    rest = first - step * band
    return product if rest == 0 else f"{product} {'+' if rest > 0 else '-'} {abs(rest)}"


def _plus(pointer: str, rows: int | str, size: int) -> str:
    """`pointer + rows * size`."""
    if isinstance(rows, str):
        factor = f"({rows})" if "+" in rows or "-" in rows else rows
        return f"{pointer} + {factor} * {size}"
    if rows <= 1:
        return f"{pointer} + {size}" if rows else pointer
    return f"{pointer} + {rows} * {size}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
