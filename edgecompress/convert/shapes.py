"""Shapes fit the op: what each kind of op makes of its inputs is computed and compared with what the file says.

Everything behind the reader (MAC counts, the memory plan, kernels without bounds checks) relies on it. Kinds that are not listed have only
their indices checked. A shape that depends on a tensor whose value is not in the file cannot be checked and is left to the engine.
Formulas: the Prepare functions of TensorFlow Lite's kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from edgecompress.convert.options import OpLocation
from edgecompress.graph import (
    ConcatenationOptions,
    ConvOptions,
    DepthwiseConvOptions,
    DType,
    FullyConnectedOptions,
    Graph,
    Op,
    PackOptions,
    Padding,
    PoolOptions,
    ReducerOptions,
    SplitOptions,
    StridedSliceOptions,
    Tensor,
    TransposeConvOptions,
)

Shape = tuple[int, ...]
_T = TypeVar("_T")


def check_shapes(file: str, graph: Graph) -> None:
    """Fail unless every op's tensors have the ranks and sizes that its kind demands.

    Raises:
        ModelError: an operand is missing, or a shape is not what the op makes.
    """
    for op in graph.ops:
        rule = _RULES.get(op.kind)
        if rule is not None:
            rule(_Operands(graph, op, OpLocation(file, op.index, op.kind)))


@dataclass(frozen=True)
class _Operands:
    """The tensors of one op, asked for by position."""

    graph: Graph
    op: Op
    at: OpLocation

    def input(self, position: int, rank: int | None = None) -> Tensor:
        found = self.optional(position)
        if found is None:
            raise self.at.error(f"input {position} is missing")
        if rank is not None and len(found.shape) != rank:
            raise self.at.error(f"input {position} ({found.name}) has the shape {list(found.shape)}; expected {rank} dimensions")
        return found

    def optional(self, position: int) -> Tensor | None:
        inputs = self.op.inputs
        return self.graph.tensors[inputs[position]] if position < len(inputs) and inputs[position] >= 0 else None

    def outputs(self, count: int) -> tuple[Tensor, ...]:
        if len(self.op.outputs) != count:
            raise self.at.error(f"it has {len(self.op.outputs)} outputs; expected {count}")
        return self.graph.op_outputs(self.op)

    def values(self, position: int) -> tuple[int, ...] | None:
        """The integers of a constant input, flattened; None when they are not in the file."""
        tensor = self.input(position)
        if tensor.data is None:
            return None
        if tensor.dtype not in (DType.INT32, DType.INT64):
            raise self.at.error(f"input {position} ({tensor.name}) is {tensor.dtype.value}; expected int32")
        return tuple(int(v) for v in np.ravel(tensor.data))

    def axis(self, value: int, rank: int) -> int:
        if not -rank <= value < rank:
            raise self.at.error(f"axis {value} is outside of {rank} dimensions")
        return value % rank

    def result(self, *expected: Shape) -> None:
        """Compare the outputs' shapes with what the op makes."""
        for position, (tensor, shape) in enumerate(zip(self.outputs(len(expected)), expected, strict=True)):
            if tensor.shape != shape:
                raise self.at.error(f"output {position} ({tensor.name}) has the shape {list(tensor.shape)}; expected {list(shape)}")


def output_size(size: int, filter_size: int, stride: int, padding: Padding, dilation: int = 1) -> int:
    """Positions of a window along one dimension; 0 or less when it does not fit."""
    if padding is Padding.SAME:
        return -(-size // stride)
    return (size - ((filter_size - 1) * dilation + 1)) // stride + 1


def _conv(t: _Operands) -> None:
    options = _options(t, ConvOptions)
    n, h, w, channels = t.input(0, rank=4).shape
    out_channels, filter_h, filter_w, filter_channels = _no_zeros(t, 1, t.input(1, rank=4).shape)
    if channels % filter_channels or out_channels % (channels // filter_channels):
        raise t.at.error(f"{channels} input and {out_channels} output channels cannot be split for filters of {filter_channels} channels")
    _check_bias(t, 2, out_channels)
    out_h = output_size(h, filter_h, options.stride_h, options.padding, options.dilation_h)
    out_w = output_size(w, filter_w, options.stride_w, options.padding, options.dilation_w)
    t.result((n, out_h, out_w, out_channels))


def _depthwise(t: _Operands) -> None:
    options = _options(t, DepthwiseConvOptions)
    n, h, w, channels = t.input(0, rank=4).shape
    one, filter_h, filter_w, out_channels = _no_zeros(t, 1, t.input(1, rank=4).shape)
    if one != 1 or out_channels % channels:
        raise t.at.error(f"filters of shape {[one, filter_h, filter_w, out_channels]} do not fit {channels} input channels")
    _check_bias(t, 2, out_channels)
    out_h = output_size(h, filter_h, options.stride_h, options.padding, options.dilation_h)
    out_w = output_size(w, filter_w, options.stride_w, options.padding, options.dilation_w)
    t.result((n, out_h, out_w, out_channels))


def _transpose_conv(t: _Operands) -> None:
    options = _options(t, TransposeConvOptions)
    out_channels, filter_h, filter_w, filter_channels = _no_zeros(t, 1, t.input(1, rank=4).shape)
    n, h, w, channels = t.input(2, rank=4).shape
    if channels != filter_channels:
        raise t.at.error(f"filters of {filter_channels} channels do not fit {channels} input channels")
    _check_bias(t, 3, out_channels)
    (output,) = t.outputs(1)
    asked = t.values(0)
    if len(output.shape) != 4 or (asked is not None and asked != output.shape):
        raise t.at.error(f"output 0 ({output.name}) has the shape {list(output.shape)}; expected {list(asked or ())} of 4 dimensions")
    back_h = output_size(output.shape[1], filter_h, options.stride_h, options.padding)
    back_w = output_size(output.shape[2], filter_w, options.stride_w, options.padding)
    if (output.shape[0], output.shape[3]) != (n, out_channels) or (back_h, back_w) != (h, w):
        raise t.at.error(f"input {[n, h, w, channels]} cannot become an output of {list(output.shape)}")


def _fully_connected(t: _Operands) -> None:
    options = _options(t, FullyConnectedOptions)
    shape = t.input(0).shape
    out_size, in_size = _no_zeros(t, 1, t.input(1, rank=2).shape)
    elements = math.prod(shape)
    if elements % in_size:
        raise t.at.error(f"an input of {elements} elements does not fit weights of {in_size} inputs")
    _check_bias(t, 2, out_size)
    outputs = t.outputs(2 if options.shuffled_weights else 1)
    if options.keep_num_dims and (not shape or shape[-1] != in_size):
        raise t.at.error(f"an input of shape {list(shape)} does not fit weights of {in_size} inputs")
    if options.keep_num_dims and outputs[0].shape != (*shape[:-1], out_size):
        raise t.at.error(f"output 0 ({outputs[0].name}) has the shape {list(outputs[0].shape)}; expected {[*shape[:-1], out_size]}")
    if outputs[0].elements != elements // in_size * out_size or outputs[0].shape[-1:] != (out_size,):
        raise t.at.error(f"output 0 ({outputs[0].name}) has the shape {list(outputs[0].shape)}; expected {[elements // in_size, out_size]}")


def _pool(t: _Operands) -> None:
    options = _options(t, PoolOptions)
    n, h, w, channels = t.input(0, rank=4).shape
    out_h = output_size(h, options.filter_h, options.stride_h, options.padding)
    out_w = output_size(w, options.filter_w, options.stride_w, options.padding)
    t.result((n, out_h, out_w, channels))


def _same_shape(t: _Operands) -> None:
    t.result(t.input(0).shape)


def _broadcast(t: _Operands) -> None:
    left, right = t.input(0).shape, t.input(1).shape
    rank = max(len(left), len(right))
    pairs = list(zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True))
    if any(a != b and 1 not in (a, b) for a, b in pairs):
        raise t.at.error(f"shapes {list(left)} and {list(right)} do not go together")
    t.result(tuple(b if a == 1 else a for a, b in pairs))


def _reduce(t: _Operands) -> None:
    options = _options(t, ReducerOptions)
    shape = t.input(0).shape
    values = t.values(1)
    if values is None:
        return
    # A scalar has no axis, but converters write 0 or -1 for it.
    axes = {t.axis(v, max(len(shape), 1)) for v in values}
    kept = (1 if d in axes else size for d, size in enumerate(shape) if options.keep_dims or d not in axes)
    t.result(tuple(kept))


def _pad(t: _Operands) -> None:
    shape = t.input(0).shape
    values = t.values(1)
    if values is None:
        t.outputs(1)
        return
    if len(values) != 2 * len(shape) or min(values, default=0) < 0:
        raise t.at.error(f"paddings {list(values)} do not fit an input of shape {list(shape)}")
    t.result(tuple(size + values[2 * d] + values[2 * d + 1] for d, size in enumerate(shape)))


def _concatenation(t: _Operands) -> None:
    options = _options(t, ConcatenationOptions)
    shapes = [t.input(i).shape for i in range(max(len(t.op.inputs), 1))]
    axis = t.axis(options.axis, len(shapes[0]))
    others = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
    if len(others) != 1 or {len(s) for s in shapes} != {len(shapes[0])}:
        raise t.at.error(f"inputs of shapes {[list(s) for s in shapes]} cannot be joined along axis {axis}")
    t.result((*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :]))


def _split(t: _Operands) -> None:
    options = _options(t, SplitOptions)
    shape = t.input(1).shape
    values = t.values(0)
    outputs = t.outputs(len(t.op.outputs))
    if values is None:
        return
    if len(values) != 1 or options.num_splits != len(outputs):
        raise t.at.error(f"it has {len(values)} axes and {len(outputs)} outputs; expected 1 and {options.num_splits}")
    axis = t.axis(values[0], len(shape))
    if shape[axis] % len(outputs):
        raise t.at.error(f"axis {axis} of shape {list(shape)} cannot be split in {len(outputs)}")
    t.result(*[(*shape[:axis], shape[axis] // len(outputs), *shape[axis + 1 :])] * len(outputs))


def _pack(t: _Operands) -> None:
    options = _options(t, PackOptions)
    shapes = {t.input(i).shape for i in range(max(len(t.op.inputs), 1))}
    if len(shapes) != 1 or options.count != len(t.op.inputs):
        raise t.at.error(
            f"{len(t.op.inputs)} inputs of {len(shapes)} different shapes cannot be packed; expected {options.count} of one shape"
        )
    (shape,) = shapes
    axis = t.axis(options.axis, len(shape) + 1)
    t.result((*shape[:axis], options.count, *shape[axis:]))


def _unpack(t: _Operands) -> None:
    options = _options(t, PackOptions)
    shape = t.input(0).shape
    axis = t.axis(options.axis, len(shape))
    if shape[axis] != options.count or options.count != len(t.op.outputs):
        raise t.at.error(f"shape {list(shape)} cannot be unpacked along axis {axis} to {len(t.op.outputs)} outputs")
    t.result(*[(*shape[:axis], *shape[axis + 1 :])] * options.count)


def _same_elements(t: _Operands) -> None:
    source = t.input(0)
    (output,) = t.outputs(1)
    if source.elements != output.elements:
        raise t.at.error(f"an input of shape {list(source.shape)} cannot become {list(output.shape)}")


def _transpose(t: _Operands) -> None:
    shape = t.input(0).shape
    values = t.values(1)
    if values is None:
        t.outputs(1)
        return
    if sorted(values) != list(range(len(shape))):
        raise t.at.error(f"{list(values)} is no order of the {len(shape)} dimensions")
    t.result(tuple(shape[d] for d in values))


def _resize(t: _Operands) -> None:
    n, _, _, channels = t.input(0, rank=4).shape
    values = t.values(1)
    if values is None:
        t.outputs(1)
        return
    if len(values) != 2:
        raise t.at.error(f"the new size is {list(values)}; expected a height and a width")
    t.result((n, values[0], values[1], channels))


def _strided_slice(t: _Operands) -> None:
    options = _options(t, StridedSliceOptions)
    shape = t.input(0).shape
    begin, end, strides = (t.values(i) for i in (1, 2, 3))
    if begin is None or end is None or strides is None or options.ellipsis_mask or options.new_axis_mask:
        t.outputs(1)
        return
    if not len(begin) == len(end) == len(strides) <= len(shape) or 0 in strides:
        raise t.at.error(f"begin {list(begin)}, end {list(end)}, strides {list(strides)} do not fit an input of shape {list(shape)}")
    expected: list[int] = []
    for d, size in enumerate(shape):
        if d >= len(begin):
            expected.append(size)
            continue
        stop = begin[d] + end[d] if options.offset else end[d]
        if options.shrink_axis_mask >> d & 1:
            t.axis(begin[d], size)
            continue
        low = None if options.begin_mask >> d & 1 else begin[d]
        high = None if options.end_mask >> d & 1 else stop
        expected.append(len(range(size)[low : high : strides[d]]))
    t.result(tuple(expected))


def _check_bias(t: _Operands, position: int, channels: int) -> None:
    bias = t.optional(position)
    if bias is not None and bias.elements != channels:
        raise t.at.error(f"the bias ({bias.name}) has {bias.elements} entries; expected {channels}")


def _no_zeros(t: _Operands, position: int, shape: Shape) -> Shape:
    if 0 in shape:
        raise t.at.error(f"input {position} has no elements (shape {list(shape)})")
    return shape


def _options(t: _Operands, kind: type[_T]) -> _T:
    if not isinstance(t.op.options, kind):
        raise t.at.error("its options are missing")
    return t.op.options


_RULES: dict[str, Callable[[_Operands], None]] = {
    "ADD": _broadcast,
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE": _same_shape,
    "DIV": _broadcast,
    "EXPAND_DIMS": _same_elements,
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _same_shape,
    "LEAKY_RELU": _same_shape,
    "LOGISTIC": _same_shape,
    "MAXIMUM": _broadcast,
    "MAX_POOL_2D": _pool,
    "MEAN": _reduce,
    "REDUCE_MAX": _reduce,
    "MINIMUM": _broadcast,
    "MUL": _broadcast,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "PRELU": _broadcast,
    "QUANTIZE": _same_shape,
    "RELU": _same_shape,
    "RELU6": _same_shape,
    "RESHAPE": _same_elements,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SOFTMAX": _same_shape,
    "SPLIT": _split,
    "SQUEEZE": _same_elements,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _broadcast,
    "SUM": _reduce,
    "TANH": _same_shape,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
    "UNPACK": _unpack,
}
