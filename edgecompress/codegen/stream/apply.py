"""A lowered program with its plan: as it is, or with blocks where that was asked for and lowers the arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgecompress.artifact import StreamedBlock, StreamInfo, Streaming
from edgecompress.codegen.plan import plan_arena
from edgecompress.codegen.program import Alias, ArenaPlan, Step
from edgecompress.codegen.stream.block import Block, StreamStep, asked_rows
from edgecompress.codegen.stream.search import apply_blocks, best_blocks
from edgecompress.errors import ModelError
from edgecompress.graph import Graph

_HINT = "use --stream rows, which keeps the whole input in the arena"


@dataclass(frozen=True, eq=False)
class PlannedProgram:
    """Steps with places.

    Attributes:
        arena_graph: the graph with those inputs that lie in the arena.
        called: the input whose rows are called for; None for none.
        info: what streaming did; None where it was not asked for.
        about: the same as a sentence for the head of the source.
    """

    steps: tuple[Step, ...]
    aliases: tuple[Alias, ...]
    plan: ArenaPlan
    arena_graph: Graph
    called: int | None = None
    info: StreamInfo | None = None

    @property
    def about(self) -> str:
        if self.info is None or not self.info.blocks:
            return ""
        return f"By rows: {self.info.words}."


def plan_program(
    graph: Graph, steps: tuple[Step, ...], aliases: tuple[Alias, ...], *, keep_input: bool, stream: Streaming
) -> PlannedProgram:
    """The program and its plan.

    Raises:
        ModelError: rows of the input were to be called for, and no layers begin with them; or a tensor is read before it is written.
    """
    plain = PlannedProgram(steps, aliases, plan_arena(steps, aliases, graph, keep_input), graph)
    match stream:
        case Streaming.NONE:
            return plain
        case Streaming.ROWS:
            return _by_rows(plain, keep_input)
        case Streaming.INPUT:
            return _with_called_input(plain, keep_input)


def _by_rows(plain: PlannedProgram, keep_input: bool) -> PlannedProgram:
    graph, arena_bytes = plain.arena_graph, plain.plan.arena_bytes
    blocks = best_blocks(graph, plain.steps, plain.aliases, keep_input=keep_input, called=None)
    if not blocks:
        return _unchanged(plain, "no block of layers would lower the arena")
    steps, aliases = apply_blocks(graph, plain.steps, plain.aliases, blocks)
    plan = plan_arena(steps, aliases, graph, keep_input)
    if plan.arena_bytes >= arena_bytes:
        return _unchanged(plain, f"the best blocks take {plan.arena_bytes} bytes, no less than without")
    return PlannedProgram(steps, aliases, plan, graph, info=_info(Streaming.ROWS, steps, arena_bytes))


def _unchanged(plain: PlannedProgram, why: str) -> PlannedProgram:
    note = f"streaming would not help: {why}; this is the plan without it"
    return replace(plain, info=StreamInfo(Streaming.ROWS, (), plain.plan.arena_bytes, note=note))


def _with_called_input(plain: PlannedProgram, keep_input: bool) -> PlannedProgram:
    graph = plain.arena_graph
    if not graph.inputs:
        raise ModelError(f"{graph.name}: has no input whose rows could be called for", hint="leave --stream out")
    called = graph.inputs[0]
    if keep_input:
        raise ModelError(
            f"{graph.name}: an input whose rows are called for is not in the arena and cannot be kept", hint="leave one of both out"
        )
    blocks = best_blocks(graph, plain.steps, plain.aliases, keep_input=keep_input, called=called)
    if blocks is None or not any(b.chain.source == called for b in blocks):
        tensor = graph.tensor(called)
        raise ModelError(
            f"{graph.name}: rows of its input {tensor.name} {list(tensor.shape)} cannot be called for: no two layers or more that go by "
            "rows begin with it and are all that read it",
            hint=_HINT,
        )
    steps, aliases = apply_blocks(graph, plain.steps, plain.aliases, blocks)
    arena_graph = replace(graph, inputs=graph.inputs[1:])
    plan = plan_arena(steps, aliases, arena_graph, keep_input)
    asked = next(asked_rows(block) for block in blocks if block.calls_for_rows)
    return PlannedProgram(steps, aliases, plan, arena_graph, called, _info(Streaming.INPUT, steps, plain.plan.arena_bytes, asked))


def _info(mode: Streaming, steps: Sequence[Step], plain_bytes: int, asked: int = 0) -> StreamInfo:
    found = [_describe(n, step, step.block) for n, step in enumerate(steps) if isinstance(step, StreamStep)]
    return StreamInfo(mode, tuple(found), plain_bytes, asked_rows=asked)


def _describe(number: int, step: StreamStep, block: Block) -> StreamedBlock:
    return StreamedBlock(number, step.ops[0], step.ops[-1], len(block.bands), block.rows, block.bytes)
