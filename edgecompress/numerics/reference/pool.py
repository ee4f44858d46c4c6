"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SUM and REDUCE_MAX on int8.

Pools keep the input's quantization; windows that hang over an edge take what is inside. MEAN sums in int32, takes the zero points out and
multiplies by `in_scale / (out_scale * n)`. C twins: firmware/kernels/portable/ec_average_pool_s8.c, ec_max_pool_s8.c, ec_mean_s8.c.
Source: tensorflow/lite/micro/kernels/{pooling,reduce}_common.cc and the reference kernels that they call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError
from edgecompress.graph import DType, Graph, Op, PoolOptions, Tensor
from edgecompress.numerics.affine import INT8_MIN, Clamp, activation_clamp
from edgecompress.numerics.fixedpoint import FixedScale, quantize_multiplier, requantize
from edgecompress.numerics.reference.oracle import Array, Oracle, Values, no_oracle, require_quantized, tensors_of
from edgecompress.numerics.window import pad_before, window_count

Int8 = NDArray[np.int8]


@dataclass(frozen=True)
class PoolWindow:
    """Where a pool looks: sizes, strides and the padding above and to the left, in pixels."""

    filter_h: int
    filter_w: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    out_h: int
    out_w: int


def pool_window(options: PoolOptions, in_h: int, in_w: int) -> PoolWindow:
    """The window of a pool over an in_h x in_w image.

    Raises:
        ModelError: a stride or size below 1, or a window that does not fit.
    """
    if min(options.stride_h, options.stride_w, options.filter_h, options.filter_w) < 1:
        raise ModelError(f"expected pool strides and sizes of at least 1, came {options}")
    padding = options.padding
    out_h = window_count(padding, in_h, options.filter_h, options.stride_h)
    out_w = window_count(padding, in_w, options.filter_w, options.stride_w)
    if min(out_h, out_w) < 1:
        raise ModelError(f"pool of {options.filter_h}x{options.filter_w} does not fit in {in_h}x{in_w}")
    pad_top = pad_before(padding, in_h, options.filter_h, options.stride_h)
    pad_left = pad_before(padding, in_w, options.filter_w, options.stride_w)
    return PoolWindow(
        options.filter_h, options.filter_w, options.stride_h, options.stride_w, pad_top=pad_top, pad_left=pad_left, out_h=out_h, out_w=out_w
    )


def windows_of(x: Int8 | NDArray[np.int16], window: PoolWindow, fill: int) -> NDArray[np.int32]:
    """[batches, out_h, out_w, c, filter_h, filter_w] int32, `fill` outside the image."""
    below = max((window.out_h - 1) * window.stride_h + window.filter_h - window.pad_top - x.shape[1], 0)
    right = max((window.out_w - 1) * window.stride_w + window.filter_w - window.pad_left - x.shape[2], 0)
    pads = ((0, 0), (window.pad_top, below), (window.pad_left, right), (0, 0))
    padded = np.pad(x.astype(np.int32), pads, constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(padded, (window.filter_h, window.filter_w), axis=(1, 2))
    return views[:, :: window.stride_h, :: window.stride_w][:, : window.out_h, : window.out_w]


def window_sums(x: Int8 | NDArray[np.int16], window: PoolWindow) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Of every window: the sum of what is inside the image, and how many pixels that are."""
    inside = np.ones((1, *x.shape[1:3], 1), np.int8)
    return windows_of(x, window, 0).sum(axis=(-2, -1)), windows_of(inside, window, 0).sum(axis=(-2, -1))


def average_pool(x: Int8, window: PoolWindow, clamp: Clamp) -> Int8:
    """[batches, h, w, c] -> [batches, out_h, out_w, c]: the mean of what is inside the image, halves away from zero."""
    total, count = window_sums(x, window)
    quotient = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return _clamped(quotient, clamp)


def max_pool(x: Int8, window: PoolWindow, clamp: Clamp) -> Int8:
    """[batches, h, w, c] -> [batches, out_h, out_w, c]: the largest of what is inside the image."""
    return _clamped(windows_of(x, window, INT8_MIN).max(axis=(-2, -1)), clamp)


def _clamped(counts: NDArray[np.int32], clamp: Clamp) -> Int8:
    # The lower end first: an upper end below it wins, as in C.
    bounded: NDArray[np.int32] = np.minimum(np.maximum(counts, clamp.low), clamp.high)
    return bounded.astype(np.int8)


def reduced_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """The axes of a reduction, each once, none negative, ascending.

    Raises:
        ModelError: an axis outside the tensor.
    """
    # A scalar has nothing to reduce: TFLM does not look at the axes then.
    if rank == 0:
        return ()
    resolved = {a + rank if a < 0 else a for a in axes}
    if not all(0 <= a < rank for a in resolved):
        raise ModelError(f"expected axes in [-{rank}, {rank - 1}], came {list(axes)}")
    return tuple(sorted(resolved))


def mean_scale(real: float, count: int) -> FixedScale:
    """Scale of a mean over `count` elements from that of their sum, `real`. The multiplier may be below 2**30."""
    scale = quantize_multiplier(real)
    shift = min(count.bit_length() - 1, 32, 31 + scale.shift)
    return FixedScale((scale.multiplier << shift) // count, scale.shift - shift)


def reduce_sum(x: Int8, axes: tuple[int, ...], scale: FixedScale, in_zero: int, out_zero: int) -> Int8:
    """The scaled sum (or mean, by the scale) along axes, which stay with size 1."""
    count = math.prod(x.shape[a] for a in axes)
    centered = x.astype(np.int64).sum(axis=axes, keepdims=True) - in_zero * count
    return requantize(centered.astype(np.uint32).astype(np.int32), [scale], out_zero)


def _pool(graph: Graph, op: Op, values: Values, pool: Callable[[Int8, PoolWindow, Clamp], Int8]) -> tuple[Array, ...]:
    x, out = _pool_tensors(graph, op)
    if not isinstance(op.options, PoolOptions):
        raise no_oracle(graph, op, "the options are missing")
    window = pool_window(op.options, x.shape[1], x.shape[2])
    return (pool(values[0], window, activation_clamp(op.options.activation, out.scale, out.zero_point)),)


def _pool_tensors(graph: Graph, op: Op) -> tuple[Tensor, Tensor]:
    x, out = tensors_of(graph, op, 1)
    require_quantized(graph, op, (x, out), DType.INT8)
    return x, out


def evaluate_average_pool(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    return _pool(graph, op, values, average_pool)


def evaluate_max_pool(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    return _pool(graph, op, values, max_pool)


def evaluate_mean(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _, out = tensors_of(graph, op, 2)
    require_quantized(graph, op, (x, out), DType.INT8)
    axes = reduced_axes([int(a) for a in values[1].reshape(-1)], len(x.shape))
    scale = mean_scale(x.scale / out.scale, math.prod(x.shape[a] for a in axes))
    return (reduce_sum(values[0], axes, scale, x.zero_point, out.zero_point).reshape(out.shape),)


def evaluate_sum(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _, out = tensors_of(graph, op, 2)
    require_quantized(graph, op, (x, out), DType.INT8)
    axes = reduced_axes([int(a) for a in values[1].reshape(-1)], len(x.shape))
    scale = quantize_multiplier(x.scale / out.scale)
    return (reduce_sum(values[0], axes, scale, x.zero_point, out.zero_point).reshape(out.shape),)


def evaluate_reduce_max(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _, out = tensors_of(graph, op, 2)
    require_quantized(graph, op, (x, out), DType.INT8)
    axes = reduced_axes([int(a) for a in values[1].reshape(-1)], len(x.shape))
    return (values[0].max(axis=axes).reshape(out.shape),)


REFERENCE: dict[str, Oracle] = {
    "AVERAGE_POOL_2D": evaluate_average_pool,
    "MAX_POOL_2D": evaluate_max_pool,
    "MEAN": evaluate_mean,
    "REDUCE_MAX": evaluate_reduce_max,
    "SUM": evaluate_sum,
}
