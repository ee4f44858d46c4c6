"""Kernels for cores with the integer vectors of MVE (Cortex-M55, M85).

Each function gets the step that the portable lowering made, so everything is checked by then; it returns a faster step, or None where its
kernel's bounds do not hold (docs/kernels.md lists them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgecompress.codegen.lower.channels import folded_channels
from edgecompress.codegen.lower.leads import rows_lead
from edgecompress.codegen.lower.packing import FILTERS, fold_bias, shifts_right
from edgecompress.codegen.lower.packing_mve import (
    FOUR_BYTES,
    LANES,
    copied_rows_lead,
    folded_bias,
    fours_of,
    pack_vectors,
    windows_lead,
)
from edgecompress.codegen.lower.rules import FastLowering, input_tensor, output_tensor
from edgecompress.codegen.lower.weighted import bias_values
from edgecompress.codegen.program import Constant, ConstantArg, Names, Overlap, ParamsArg, ScratchArg, Step, TensorArg
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Graph, Op, PoolOptions, Tensor
from edgecompress.numerics.reference.pool import pool_window
from edgecompress.numerics.scales import convolution_scales, dense_scales
from edgecompress.numerics.window import pad_before, span

_NARROW = 8
"""NARROW of ec_conv2d_mve_s8.c: fewer input channels go to columns by a table of places."""

_PLACE_LIMIT = 1 << 16
_SLOTS = (1, 4, 8)
_MOST_POOLED = 256

# Zeros that complete a four of filters, as a share of the weights; few bytes may be many of them.
_PADDING_SHARE = 1 / 16
_PADDING_BYTES = 512


def fast_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Two pixels against four filters. Not for groups, dilated rows, nor weights that the model computes."""
    options = op.options
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if weights.data is None or source.is_constant or not isinstance(options, ConvOptions):
        return None
    filters, kh, kw, channels = weights.shape
    if channels != source.shape[3] or options.dilation_w != 1 or 8 * kh * channels > _PLACE_LIMIT:
        return None
    scales = convolution_scales(source, weights, output, filters)
    matrix = weights.data.transpose(0, 2, 1, 3).reshape(filters, -1).astype(np.int8)
    folded = fold_bias(matrix, bias_values(graph, op), source.zero_point)
    packed = pack_vectors(matrix)
    if not folded.fits or not shifts_right(scales) or not _worth_padding(matrix.size, packed.size):
        return None
    comment = f"weights [{filters}][{kh}][{kw}][{channels}] (o, kh, kw, c), [{fours_of(filters)}] fours of filters in vectors (kw, kh, c)"
    direct = _is_direct(options, source, kh, kw, output)
    # Two sets of columns where a row's last pixel waits for the next row.
    sets = 0 if direct else 1 + output.shape[2] % 2
    columns = sets * ((output.shape[2] - 1) * options.stride_w + kw) * kh * channels
    places = 0 if direct or channels >= _NARROW else 16 * channels
    arguments = (
        portable.arguments[0],
        TensorArg(source.index),
        ConstantArg(Constant(names.constant("weights"), "int8_t", packed, comment)),
        folded_channels(names, folded, scales, source, weights, output),
        ScratchArg(),
        TensorArg(output.index),
    )
    lead = (windows_lead if direct else copied_rows_lead)(options, source, weights, output)
    # A rest of filters reads the windows again when all others have been written.
    overlaps = () if direct and filters % FILTERS else (Overlap(source.index, output.index, lead),)
    return replace(
        portable,
        function="ec_conv2d_mve_s8",
        kernel="kernels/mve/ec_conv2d_mve_s8.c",
        arguments=arguments,
        scratch_bytes=fours_of(filters) * FOUR_BYTES + places + columns,
        overlaps=overlaps,
    )


def fast_depthwise(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """All taps of a channel in a vector or a few. Not for a depth multiplier, nor for taps that span more than 8 rows."""
    options = op.options
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if weights.data is None or source.is_constant or not isinstance(options, DepthwiseConvOptions) or options.depth_multiplier != 1:
        return None
    _, kh, kw, channels = weights.shape
    rows, columns = span(kh, options.dilation_h), span(kw, options.dilation_w)
    if rows > _SLOTS[-1]:
        return None
    slots = next(n for n in _SLOTS if n >= rows)
    vector_bytes = -(-columns * slots // LANES) * LANES
    plane_bytes = (output.shape[2] - 1) * options.stride_w * slots + vector_bytes
    scales = convolution_scales(source, weights, output, channels)
    folded = fold_bias(weights.data.reshape(-1, channels).astype(np.int8).T, bias_values(graph, op), source.zero_point)
    if not folded.fits or not shifts_right(scales) or 8 * plane_bytes > _PLACE_LIMIT:
        return None
    rest = 4 * output.shape[2] if channels % FILTERS else 0
    arguments = (
        portable.arguments[0],
        TensorArg(source.index),
        portable.arguments[2],
        folded_channels(names, folded, scales, source, weights, output),
        ScratchArg(),
        TensorArg(output.index),
    )
    return replace(
        portable,
        function="ec_depthwise_conv2d_mve_s8",
        kernel="kernels/mve/ec_depthwise_conv2d_mve_s8.c",
        arguments=arguments,
        scratch_bytes=fours_of(channels) * (FOUR_BYTES + FILTERS * (vector_bytes + plane_bytes)) + rest,
        overlaps=(Overlap(source.index, output.index, rows_lead(options, source, weights, output)),),
    )


def fast_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four outputs at once, without scratch. Not for weights that the model computes or that have a zero point."""
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    quantization = weights.quantization
    if weights.data is None or source.is_constant or quantization is None or any(quantization.zero_points):
        return None
    out_len, in_len = weights.shape
    scales = dense_scales(source, weights, output, out_len)
    matrix = weights.data.astype(np.int8)
    folded = fold_bias(matrix, bias_values(graph, op), source.zero_point)
    packed = pack_vectors(matrix)
    if not folded.fits or not shifts_right(scales) or not _worth_padding(matrix.size, packed.size):
        return None
    comment = f"weights [{out_len}][{in_len}] (o, i), [{fours_of(out_len)}] fours of outputs in vectors"
    arguments = (
        portable.arguments[0],
        TensorArg(source.index),
        ConstantArg(Constant(names.constant("weights"), "int8_t", packed, comment)),
        ConstantArg(folded_bias(names, folded)),
        portable.arguments[4],
        TensorArg(output.index),
    )
    function = "ec_fully_connected_mve_s8"
    return replace(portable, function=function, kernel=f"kernels/mve/{function}.c", arguments=arguments)


def fast_add(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Sums and differences of two tensors of one shape."""
    if portable.function != "ec_add_s8":
        return None
    return replace(portable, function="ec_add_mve_s8", kernel="kernels/mve/ec_add_mve_s8.c")


def fast_mul(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Products of two tensors of one shape."""
    if portable.function != "ec_mul_s8" or not _shifts_right(portable):
        return None
    return replace(portable, function="ec_mul_mve_s8", kernel="kernels/mve/ec_mul_mve_s8.c")


def fast_average_pool(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Eight channels at once, while their sums fit int16."""
    source, options = input_tensor(graph, op, 0), op.options
    if not isinstance(options, PoolOptions):
        return None
    window = pool_window(options, source.shape[1], source.shape[2])
    if window.filter_h * window.filter_w > _MOST_POOLED:
        return None
    return replace(portable, function="ec_average_pool_mve_s8", kernel="kernels/mve/ec_average_pool_mve_s8.c")


def fast_max_pool(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Sixteen channels at once."""
    return replace(portable, function="ec_max_pool_mve_s8", kernel="kernels/mve/ec_max_pool_mve_s8.c")


def fast_mean(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four sums at once where they lie side by side: means over an image, channel by channel."""
    params = portable.arguments[0]
    strides = params.fields["kept_strides"] if isinstance(params, ParamsArg) else ()
    if not isinstance(strides, tuple) or strides[-1] != 1 or not _shifts_right(portable):
        return None
    return replace(portable, function="ec_mean_mve_s8", kernel="kernels/mve/ec_mean_mve_s8.c")


def _shifts_right(portable: Step) -> bool:
    """Whether the scale of a step's parameters does."""
    params = portable.arguments[0]
    scale = params.fields["scale"] if isinstance(params, ParamsArg) else None
    shift = scale["shift"] if isinstance(scale, Mapping) else 0
    return isinstance(shift, int) and shift < 0


def _is_direct(options: ConvOptions, source: Tensor, kh: int, kw: int, output: Tensor) -> bool:
    """Whether windows are contiguous in the input: `is_direct` of ec_conv2d_mve_s8.c."""
    padded = pad_before(options.padding, source.shape[2], kw, options.stride_w, options.dilation_w) > 0
    return kh == 1 and not padded and (output.shape[2] - 1) * options.stride_w + kw <= source.shape[2]


def _worth_padding(dense: int, packed: int) -> bool:
    return packed - dense <= max(_PADDING_BYTES, dense * _PADDING_SHARE)


LOWER: dict[str, FastLowering] = {
    "CONV_2D": fast_conv2d,
    "DEPTHWISE_CONV_2D": fast_depthwise,
    "FULLY_CONNECTED": fast_fully_connected,
    "ADD": fast_add,
    "SUB": fast_add,
    "MUL": fast_mul,
    "AVERAGE_POOL_2D": fast_average_pool,
    "MAX_POOL_2D": fast_max_pool,
    "MEAN": fast_mean,
    "SUM": fast_mean,
}
