"""Ops that only move elements: PAD, PADV2, TRANSPOSE, STRIDED_SLICE, CONCATENATION, SPLIT, PACK, UNPACK, RESHAPE, SQUEEZE, EXPAND_DIMS.

Any element type. C twins: firmware/kernels/portable/ec_pad.c, ec_copy_strided.c, ec_join.c, ec_split.c.
Source: tensorflow/lite/micro/kernels of the same names; strided_slice_logic.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecompress.errors import ModelError
from edgecompress.graph import ConcatenationOptions, DType, Graph, Op, PackOptions, StridedSliceOptions, Tensor
from edgecompress.numerics.reference.oracle import Array, Oracle, Values, no_oracle, tensors_of


def resolve_axis(axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        ModelError: it is outside the tensor.
    """
    resolved = axis + rank if axis < 0 else axis
    if not 0 <= resolved < rank:
        raise ModelError(f"expected an axis in [-{rank}, {rank - 1}], came {axis}")
    return resolved


def pad_widths(pairs: Sequence[int], rank: int) -> tuple[tuple[int, int], ...]:
    """(before, after) of every axis, from all of them in a row.

    Raises:
        ModelError: not one pair an axis, or a negative one.
    """
    if len(pairs) != 2 * rank or min(pairs, default=0) < 0:
        raise ModelError(f"expected {rank} pairs of paddings of at least 0, came {list(pairs)}")
    return tuple(zip(pairs[::2], pairs[1::2], strict=True))


def pad_value(out: Tensor, value: Array | None) -> int:
    """The count that PAD (no value: the output's zero) or PADV2 writes around the input."""
    if value is not None:
        return int(np.asarray(value).reshape(-1)[0])
    return out.zero_point if out.dtype is DType.INT8 and out.quantization is not None else 0


@dataclass(frozen=True)
class SliceAxis:
    """One axis of a strided slice: `count` elements from `start`, `step` apart (below 0: backwards); not `kept` when the axis goes."""

    start: int
    step: int
    count: int
    kept: bool


def slice_axes(
    shape: Sequence[int], begin: Sequence[int], end: Sequence[int], strides: Sequence[int], options: StridedSliceOptions
) -> tuple[SliceAxis, ...]:
    """What a STRIDED_SLICE takes along every axis of a tensor of this shape.

    Raises:
        ModelError: masks that TFLM ignores (ellipsis, new axis, offset), or indices that do not fit the shape.
    """
    if options.ellipsis_mask or options.new_axis_mask or options.offset:
        raise ModelError("STRIDED_SLICE: expected no ellipsis, new-axis or offset mask", hint="slice every axis by its own begin and end")
    columns = (begin, end, strides)
    if any(len(c) != len(shape) for c in columns) or 0 in strides:
        raise ModelError(f"STRIDED_SLICE: expected begin, end and nonzero strides for {len(shape)} axes, came {columns}")
    rows = zip(shape, *columns, strict=True)
    return tuple(_slice_axis(size, axis, first, stop, step, options) for axis, (size, first, stop, step) in enumerate(rows))


def _slice_axis(size: int, axis: int, begin: int, end: int, step: int, options: StridedSliceOptions) -> SliceAxis:
    first, last = (0, size) if step > 0 else (-1, size - 1)
    bit = 1 << axis
    start = min(max(begin + size if begin < 0 else begin, first), last)
    if options.begin_mask & bit:
        start = 0 if step > 0 else size - 1
    if options.shrink_axis_mask & bit:
        if not 0 <= start < size or step < 0:
            raise ModelError(f"STRIDED_SLICE: expected an index within {size} and a positive stride on axis {axis}, came {begin}, {step}")
        return SliceAxis(start, 1, 1, kept=False)
    stop = min(max(end + size if end < 0 else end, first), last)
    if options.end_mask & bit:
        stop = size if step > 0 else -1
    return SliceAxis(start, step, max(-((start - stop) // step), 0), kept=True)


def take_slice(x: Array, axes: tuple[SliceAxis, ...]) -> Array:
    """The sliced elements; axes that are not kept are gone."""
    for number, axis in enumerate(axes):
        x = np.take(x, axis.start + axis.step * np.arange(axis.count), axis=number)
    return x.reshape(tuple(a.count for a in axes if a.kept))


def _integers(values: Array) -> list[int]:
    return [int(n) for n in values.reshape(-1)]


def evaluate_pad(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _, out = tensors_of(graph, op, 2)
    value = values[2] if len(values) > 2 else None
    return (np.pad(values[0], pad_widths(_integers(values[1]), len(x.shape)), constant_values=pad_value(out, value)),)


def evaluate_transpose(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    return (np.ascontiguousarray(np.transpose(values[0], _integers(values[1]))),)


def evaluate_strided_slice(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, *_ = tensors_of(graph, op, 4)
    if not isinstance(op.options, StridedSliceOptions):
        raise no_oracle(graph, op, "the options are missing")
    begin, end, strides = (_integers(v) for v in values[1:4])
    return (take_slice(values[0], slice_axes(x.shape, begin, end, strides, op.options)),)


def evaluate_concatenation(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    if not isinstance(op.options, ConcatenationOptions):
        raise no_oracle(graph, op, "the options are missing")
    return (np.concatenate(values, axis=op.options.axis),)


def evaluate_split(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    return tuple(np.split(values[1], len(op.outputs), axis=_integers(values[0])[0]))


def evaluate_pack(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    if not isinstance(op.options, PackOptions):
        raise no_oracle(graph, op, "the options are missing")
    return (np.stack(values, axis=op.options.axis),)


def evaluate_unpack(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    if not isinstance(op.options, PackOptions):
        raise no_oracle(graph, op, "the options are missing")
    parts = np.split(values[0], len(op.outputs), axis=op.options.axis)
    return tuple(part.reshape(graph.tensor(out).shape) for part, out in zip(parts, op.outputs, strict=True))


def evaluate_reshape(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    return (values[0].reshape(graph.tensor(op.outputs[0]).shape),)


REFERENCE: dict[str, Oracle] = {
    "PAD": evaluate_pad,
    "PADV2": evaluate_pad,
    "TRANSPOSE": evaluate_transpose,
    "STRIDED_SLICE": evaluate_strided_slice,
    "CONCATENATION": evaluate_concatenation,
    "SPLIT": evaluate_split,
    "PACK": evaluate_pack,
    "UNPACK": evaluate_unpack,
    "RESHAPE": evaluate_reshape,
    "SQUEEZE": evaluate_reshape,
    "EXPAND_DIMS": evaluate_reshape,
}
