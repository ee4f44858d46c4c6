"""AVERAGE_POOL_2D, MAX_POOL_2D, MEAN, SUM and REDUCE_MAX as calls of ec_pool.h."""

from __future__ import annotations

import math

from edgecompress.codegen.constants import c_type_of
from edgecompress.codegen.lower.conv import image_shape
from edgecompress.codegen.lower.elementwise import scale_fields
from edgecompress.codegen.lower.loops import Loop, contiguous_strides, fill_loops, merge_loops
from edgecompress.codegen.lower.rules import (
    Lowering,
    constant_input,
    fused_clamp,
    input_tensor,
    output_tensor,
    require_int8,
    unsupported,
)
from edgecompress.codegen.program import Field, Names, ParamsArg, Step, TensorArg
from edgecompress.graph import DType, Graph, Op, PoolOptions, Tensor
from edgecompress.numerics.affine import INT8_RANGE, Clamp
from edgecompress.numerics.fixedpoint import FixedScale, quantize_multiplier
from edgecompress.numerics.reference.pool import mean_scale, pool_window, reduced_axes

MEAN_RANK = 3
"""EC_MEAN_RANK of ec_pool.h."""
# Sums of int8 counts stay in int32, and so does the zero point times their number.
_MOST_ELEMENTS = 1 << 23


def lower_average_pool(graph: Graph, op: Op, names: Names) -> Step:
    """One quantization for input and output.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    return _pool(graph, op, "ec_average_pool_s8")


def lower_max_pool(graph: Graph, op: Op, names: Names) -> Step:
    """One quantization for input and output.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    return _pool(graph, op, "ec_max_pool_s8")


def _pool(graph: Graph, op: Op, function: str) -> Step:
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    require_int8(graph, op, x, out)
    return pool_step(graph, op, function, INT8_RANGE, _MOST_ELEMENTS)


def pool_step(graph: Graph, op: Op, function: str, limits: Clamp, most_pixels: int) -> Step:
    """The call of a pool whose tensors have been checked.

    Raises:
        UnsupportedOpError: shapes or quantization that no pool takes, or a window of more than `most_pixels`.
    """
    x, out, options = input_tensor(graph, op, 0), output_tensor(graph, op), op.options
    if not isinstance(options, PoolOptions) or len(x.shape) != 4:
        raise unsupported(graph, op, f"expected pool options and an NHWC image, came shape {x.shape}")
    # TFLM's tolerance.
    if abs(x.scale - out.scale) > 1e-6 or x.zero_point != out.zero_point:
        raise unsupported(graph, op, f"expected one quantization for {x.name} and {out.name}, came {x.quantization} and {out.quantization}")
    window = pool_window(options, x.shape[1], x.shape[2])
    expected = (x.shape[0], window.out_h, window.out_w, x.shape[3])
    if out.shape != expected or window.filter_h * window.filter_w > most_pixels:
        raise unsupported(graph, op, f"expected an output of shape {expected}, came {out.shape}")
    clamp = fused_clamp(graph, op, options.activation, out, limits)
    params: dict[str, Field] = {
        "batches": x.shape[0],
        "in": image_shape(x),
        "out": image_shape(out),
        "filter_h": window.filter_h,
        "filter_w": window.filter_w,
        "stride_h": window.stride_h,
        "stride_w": window.stride_w,
        "pad_top": window.pad_top,
        "pad_left": window.pad_left,
        "out_min": clamp.low,
        "out_max": clamp.high,
    }
    return _step(op, function, ParamsArg("ec_pool_params", params), x, out)


def lower_mean(graph: Graph, op: Op, names: Names) -> Step:
    """Over any constant axes.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    x, out = _reduction(graph, op)
    axes = reduced_axes(constant_axes(graph, op), len(x.shape))
    count = math.prod(x.shape[a] for a in axes)
    return reduce_step(graph, op, "ec_mean_s8", axes, mean_scale(x.scale / out.scale, max(count, 1)), _MOST_ELEMENTS)


def lower_sum(graph: Graph, op: Op, names: Names) -> Step:
    """Over any constant axes.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    x, out = _reduction(graph, op)
    axes = reduced_axes(constant_axes(graph, op), len(x.shape))
    return reduce_step(graph, op, "ec_mean_s8", axes, quantize_multiplier(x.scale / out.scale), _MOST_ELEMENTS)


def lower_reduce_max(graph: Graph, op: Op, names: Names) -> Step:
    """Over constant axes that lie side by side, and one quantization: a pool of one window."""
    x, out = _reduction(graph, op)
    axes = reduced_axes(constant_axes(graph, op), len(x.shape))
    if (x.scale, x.zero_point) != (out.scale, out.zero_point):
        raise unsupported(graph, op, f"expected one quantization for {x.name} and {out.name}, came {x.quantization} and {out.quantization}")
    first, end = (axes[0], axes[-1] + 1) if axes else (0, 0)
    count, inner = math.prod(x.shape[first:end]), math.prod(x.shape[end:])
    if axes != tuple(range(first, end)) or out.elements * count != x.elements:
        raise unsupported(graph, op, f"expected axes of {x.shape} that lie side by side, came {axes}, to {out.shape}")
    params: dict[str, Field] = {
        "batches": math.prod(x.shape[:first]),
        "in": {"h": count, "w": 1, "c": inner},
        "out": {"h": 1, "w": 1, "c": inner},
        "filter_h": count,
        "filter_w": 1,
        "stride_h": 1,
        "stride_w": 1,
        "pad_top": 0,
        "pad_left": 0,
        "out_min": INT8_RANGE.low,
        "out_max": INT8_RANGE.high,
    }
    return _step(op, "ec_max_pool_s8", ParamsArg("ec_pool_params", params), x, out)


def _reduction(graph: Graph, op: Op) -> tuple[Tensor, Tensor]:
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    require_int8(graph, op, x, out)
    return x, out


def constant_axes(graph: Graph, op: Op) -> list[int]:
    """The axes of a reduction, as the file has them.

    Raises:
        UnsupportedOpError: they are computed by the model, or not int32.
    """
    axes = constant_input(graph, op, 1)
    if axes.dtype is not DType.INT32 or axes.data is None:
        raise unsupported(graph, op, f"expected int32 axes, came {axes.dtype.value}")
    return [int(a) for a in axes.data.reshape(-1)]


def reduce_step(graph: Graph, op: Op, function: str, axes: tuple[int, ...], scale: FixedScale, most_elements: int) -> Step:
    """The call of a mean or sum whose tensors have been checked.

    Raises:
        UnsupportedOpError: shapes that the kernel does not take, or sums of more than `most_elements`.
    """
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    count = math.prod(x.shape[a] for a in axes)
    if not 0 < count <= most_elements or out.elements * count != x.elements:
        raise unsupported(graph, op, f"expected {x.shape} without axes {axes}, at most {most_elements:,} elements a sum, came {out.shape}")
    kept, summed = _split_loops(x.shape, axes)
    if max(len(kept), len(summed)) > MEAN_RANK:
        raise unsupported(graph, op, f"axes {axes} of {x.shape} take more than {MEAN_RANK} loops")
    kept_loops, sum_loops = fill_loops(kept, MEAN_RANK, 1), fill_loops(summed, MEAN_RANK, 1)
    params: dict[str, Field] = {
        "kept_extents": tuple(loop.extent for loop in kept_loops),
        "kept_strides": tuple(loop.strides[0] for loop in kept_loops),
        "sum_extents": tuple(loop.extent for loop in sum_loops),
        "sum_strides": tuple(loop.strides[0] for loop in sum_loops),
        "in_zero_sum": x.zero_point * count,
        "scale": scale_fields(scale),
        "out_zero_point": out.zero_point,
    }
    return _step(op, function, ParamsArg("ec_mean_params", params), x, out)


def _split_loops(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[tuple[Loop, ...], tuple[Loop, ...]]:
    """The loops over dimensions that stay, and over those that are summed."""
    strides = contiguous_strides(shape)
    kept = [i for i in range(len(shape)) if i not in axes]
    return (
        merge_loops([shape[i] for i in kept], [strides[i] for i in kept]),
        merge_loops([shape[i] for i in axes], [strides[i] for i in axes]),
    )


def _step(op: Op, function: str, params: ParamsArg, x: Tensor, out: Tensor) -> Step:
    reads = () if x.is_constant else (x.index,)
    arguments = (params, TensorArg(x.index, c_type_of(x)), TensorArg(out.index, c_type_of(out)))
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,))


LOWER: dict[str, Lowering] = {
    "AVERAGE_POOL_2D": lower_average_pool,
    "MAX_POOL_2D": lower_max_pool,
    "MEAN": lower_mean,
    "REDUCE_MAX": lower_reduce_max,
    "SUM": lower_sum,
}
