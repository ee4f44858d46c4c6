"""Rows of an image through one kernel call: which rows of the input stand under rows of the output, and the call for these rows alone.

Output row y stands on input rows [y * stride - before, y * stride - before + span). What of that is outside the image is padding: the call
for output rows [a, b) is the same kernel on a shorter image whose top padding is `max(0, before - a * stride)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgecompress.codegen.lower.rules import constant_input
from edgecompress.codegen.program import Argument, Field, LiteralArg, ParamsArg, Step, TensorArg
from edgecompress.graph import Graph, Op, Tensor
from edgecompress.numerics.reference.shape import pad_widths


@dataclass(frozen=True)
class Reach:
    """How rows of an output stand on rows of an input of `height` rows."""

    stride: int
    before: int
    span: int
    height: int

    def under(self, rows: range) -> range:
        """The rows of the input under some rows of the output; they may be none where all is padding."""
        first = rows.start * self.stride - self.before
        end = (rows.stop - 1) * self.stride - self.before + self.span
        start = min(max(first, 0), self.height)
        return range(start, max(start, min(end, self.height)))

    def end_under(self, end: int) -> int:
        """How many rows of the input `end` rows of the output take."""
        return min(max((end - 1) * self.stride - self.before + self.span, 0), self.height)

    def padding_above(self, rows: range) -> int:
        """Rows of padding above the first row of the input."""
        return max(0, self.before - rows.start * self.stride)


Banded = Callable[[range], tuple[Argument, ...]]
"""The arguments of a call that computes some rows of its output: as many as the whole call has, in their order."""


@dataclass(frozen=True, eq=False)
class RowCall:
    """A kernel call that can compute any rows of its output.

    Attributes:
        step: the call for the whole image.
        reaches: of each tensor that it reads, by index.
        output: the tensor that it writes.
        banded: its arguments for some rows.
    """

    step: Step
    reaches: Mapping[int, Reach]
    output: int
    banded: Banded


def row_call(graph: Graph, step: Step) -> RowCall | None:
    """The step as a call by rows; None for one that cannot be split so."""
    op = graph.ops[step.ops[0]]
    if (
        len(step.ops) != 1
        or len(step.writes) != 1
        or not step.reads
        or not all(_is_image(graph.tensor(i)) for i in (*step.reads, *step.writes))
    ):
        return None
    match op.kind:
        case "CONV_2D" | "DEPTHWISE_CONV_2D" | "AVERAGE_POOL_2D" | "MAX_POOL_2D":
            return _windowed(graph, step)
        case "PAD" | "PADV2":
            return _padded(graph, op, step)
        case "ADD" | "SUB" | "MUL" | "RELU" | "RELU6" | "LEAKY_RELU" | "HARD_SWISH" | "LOGISTIC" | "TANH" | "QUANTIZE":
            return _element_by_element(graph, step)
        case _:
            return None


def row_bytes(tensor: Tensor) -> int:
    """Bytes of one row of an image."""
    return tensor.bytes // tensor.shape[1]


def _is_image(tensor: Tensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[0] == 1 and not tensor.is_constant and tensor.dtype.bits % 8 == 0


def _windowed(graph: Graph, step: Step) -> RowCall | None:
    """Convolutions and pools: height, output height and top padding are fields of the parameters."""
    params, output = step.arguments[0], graph.tensor(step.writes[0])
    if len(step.reads) != 1 or not isinstance(params, ParamsArg):
        return None
    source, fields = graph.tensor(step.reads[0]), params.fields
    into, out = fields.get("in"), fields.get("out")
    if not isinstance(into, Mapping) or not isinstance(out, Mapping):
        return None
    # A view that turned the image has its rows elsewhere.
    if (into.get("h"), into.get("w"), out.get("h"), out.get("w")) != (*source.shape[1:3], *output.shape[1:3]):
        return None
    span = (_number(fields, "filter_h") - 1) * _number(fields, "dilation_h", 1) + 1
    reach = Reach(_number(fields, "stride_h"), _number(fields, "pad_top"), span, source.shape[1])

    def banded(rows: range) -> tuple[Argument, ...]:
        given: dict[str, Field] = {
            **fields,
            "in": {**into, "h": len(reach.under(rows))},
            "out": {**out, "h": len(rows)},
            "pad_top": reach.padding_above(rows),
        }
        return (ParamsArg(params.c_type, given), *step.arguments[1:])

    return RowCall(step, {source.index: reach}, output.index, banded)


def _number(fields: Mapping[str, Field], name: str, default: int = 0) -> int:
    value = fields.get(name, default)
    return value if isinstance(value, int) else default


def _padded(graph: Graph, op: Op, step: Step) -> RowCall | None:
    """PAD of rows and columns: the parameters are made anew, one loop over the rows of the input."""
    source, output, params = graph.tensor(step.reads[0]), graph.tensor(step.writes[0]), step.arguments[0]
    widths = constant_input(graph, op, 1).data
    if widths is None or not isinstance(params, ParamsArg) or len(step.reads) != 1:
        return None
    images, (top, _), (left, _), channels = pad_widths([int(n) for n in widths.reshape(-1)], len(source.shape))
    if images != (0, 0) or channels != (0, 0):
        return None
    reach, source_row, output_row = Reach(1, top, 1, source.shape[1]), row_bytes(source), row_bytes(output)

    def banded(rows: range) -> tuple[Argument, ...]:
        inside = reach.under(rows)
        fields: dict[str, Field] = {
            "extents": (1, 1, 1, len(inside)),
            "strides": (0, 0, 0, output_row),
            "offset": min(reach.padding_above(rows), len(rows)) * output_row + left * (source_row // source.shape[2]),
            "row_bytes": source_row,
            "out_bytes": len(rows) * output_row,
            "fill": params.fields["fill"],
        }
        return (ParamsArg(params.c_type, fields), *step.arguments[1:])

    return RowCall(step, {source.index: reach}, output.index, banded)


def _element_by_element(graph: Graph, step: Step) -> RowCall | None:
    """Tensors of one shape as flat arrays: the count is the first number among the arguments."""
    output = graph.tensor(step.writes[0])
    count = next((n for n, a in enumerate(step.arguments) if isinstance(a, LiteralArg)), None)
    if count is None or step.arguments[count] != LiteralArg(output.elements):
        return None
    tensors = {a.tensor for a in step.arguments if isinstance(a, TensorArg)}
    if tensors != {*step.reads, *step.writes} or any(graph.tensor(i).shape != output.shape for i in step.reads):
        return None
    elements = output.elements // output.shape[1]

    def banded(rows: range) -> tuple[Argument, ...]:
        return (*step.arguments[:count], LiteralArg(len(rows) * elements), *step.arguments[count + 1 :])

    return RowCall(step, {i: Reach(1, 0, 1, output.shape[1]) for i in step.reads}, output.index, banded)
