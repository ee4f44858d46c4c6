"""Kernels for application processors: x86-64 with AVX2 or VNNI, 64-bit Arm with NEON; which, the program finds out when it runs.

Each function gets the step that the portable lowering made, so everything is checked by then; it returns a faster step, or None where its
kernel's bounds do not hold (docs/kernels.md lists them).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecompress.codegen.lower.packing import fold_bias, shifts_right
from edgecompress.codegen.lower.packing_wide import (
    EIGHT,
    PIXELS,
    STEP,
    channel_constant,
    eights_of,
    overlapping_eights,
    pack_steps,
    padded_bytes,
    padded_eights,
    tiles_lead,
    worth_padding,
)
from edgecompress.codegen.lower.rules import FastLowering, input_tensor, output_tensor
from edgecompress.codegen.lower.weighted import bias_values
from edgecompress.codegen.program import Constant, ConstantArg, Names, Overlap, ScratchArg, Step, TensorArg
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Graph, Op
from edgecompress.numerics.scales import convolution_scales, dense_scales

# Scratch of a depthwise layer: the start is aligned; a pointer and an offset a tap; a pair of taps of an eight as int16.
_ALIGNMENT, _TAP_BYTES, _PAIR_BYTES = 16, 12, 32


def fast_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four windows against eights of filters. Not for weights that the model computes."""
    options = op.options
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if weights.data is None or source.is_constant or not isinstance(options, ConvOptions):
        return None
    filters, kh, kw, filter_c = weights.shape
    groups = source.shape[3] // filter_c
    scales = convolution_scales(source, weights, output, filters)
    matrix = weights.data.reshape(filters, -1).astype(np.int8)
    folded = fold_bias(matrix, bias_values(graph, op), source.zero_point)
    enough = worth_padding(matrix.size, padded_bytes(groups, filters // groups, matrix.shape[1]))
    if not folded.fits or not shifts_right(scales) or not enough:
        return None
    comment = f"weights [{filters}][{kh}][{kw}][{filter_c}] (o, kh, kw, c), in steps of eight filters and four elements"
    arguments = (
        portable.arguments[0],
        TensorArg(source.index),
        ConstantArg(Constant(names.constant("weights"), "int8_t", pack_steps(matrix, groups), comment)),
        channel_constant(names, matrix, folded, scales, padded_eights(groups, filters // groups)),
        ScratchArg(),
        TensorArg(output.index),
    )
    return replace(
        portable,
        function="ec_conv2d_wide_s8",
        kernel="kernels/wide/ec_conv2d_wide_s8.c",
        arguments=arguments,
        scratch_bytes=_tile_bytes(output.elements // filters, matrix.shape[1]),
        overlaps=(Overlap(source.index, output.index, tiles_lead(options, source, weights, output, PIXELS)),),
    )


def fast_depthwise(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Eights of channels, pixel by pixel. Not for a depth multiplier, nor for fewer than eight channels."""
    options = op.options
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if weights.data is None or source.is_constant or not isinstance(options, DepthwiseConvOptions):
        return None
    _, kh, kw, channels = weights.shape
    if options.depth_multiplier != 1 or channels < EIGHT:
        return None
    scales = convolution_scales(source, weights, output, channels)
    matrix = weights.data.reshape(-1, channels).astype(np.int8).T
    folded = fold_bias(matrix, bias_values(graph, op), source.zero_point)
    if not folded.fits or not shifts_right(scales):
        return None
    even_taps = -(-kh * kw // 2) * 2
    arguments = (
        portable.arguments[0],
        TensorArg(source.index),
        portable.arguments[2],
        channel_constant(names, matrix, folded, scales, overlapping_eights(channels)),
        ScratchArg(),
        TensorArg(output.index),
    )
    return replace(
        portable,
        function="ec_depthwise_conv2d_wide_s8",
        kernel="kernels/wide/ec_depthwise_conv2d_wide_s8.c",
        arguments=arguments,
        scratch_bytes=_ALIGNMENT + _TAP_BYTES * even_taps + channels + _PAIR_BYTES * eights_of(channels) * even_taps // 2,
        overlaps=(Overlap(source.index, output.index, tiles_lead(options, source, weights, output, pixels=1)),),
    )


def fast_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Up to four rows against eights of outputs. Not for weights that the model computes or that have a zero point."""
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    quantization = weights.quantization
    if weights.data is None or source.is_constant or quantization is None or any(quantization.zero_points):
        return None
    out_len, in_len = weights.shape
    scales = dense_scales(source, weights, output, out_len)
    matrix = weights.data.astype(np.int8)
    folded = fold_bias(matrix, bias_values(graph, op), source.zero_point)
    if not folded.fits or not shifts_right(scales) or not worth_padding(matrix.size, padded_bytes(1, out_len, in_len)):
        return None
    comment = f"weights [{out_len}][{in_len}] (o, i), in steps of eight outputs and four elements"
    arguments = (
        portable.arguments[0],
        TensorArg(source.index),
        ConstantArg(Constant(names.constant("weights"), "int8_t", pack_steps(matrix, 1), comment)),
        channel_constant(names, matrix, folded, scales, padded_eights(1, out_len)),
        ScratchArg(),
        TensorArg(output.index),
    )
    function = "ec_fully_connected_wide_s8"
    scratch_bytes = _tile_bytes(output.elements // out_len, in_len)
    return replace(portable, function=function, kernel=f"kernels/wide/{function}.c", arguments=arguments, scratch_bytes=scratch_bytes)


def fast_add(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Sums and differences of two tensors of one shape."""
    if portable.function != "ec_add_s8":
        return None
    return replace(portable, function="ec_add_wide_s8", kernel="kernels/wide/ec_add_wide_s8.c")


def fast_average_pool(graph: Graph, op: Op, names: Names, portable: Step) -> Step:
    """Any average pool."""
    return replace(portable, function="ec_average_pool_wide_s8", kernel="kernels/wide/ec_average_pool_wide_s8.c")


def _tile_bytes(pixels: int, elements: int) -> int:
    """Windows of bytes, and the same as int16."""
    return 3 * min(pixels, PIXELS) * -(-elements // STEP) * STEP


LOWER: dict[str, FastLowering] = {
    "CONV_2D": fast_conv2d,
    "DEPTHWISE_CONV_2D": fast_depthwise,
    "FULLY_CONNECTED": fast_fully_connected,
    "ADD": fast_add,
    "SUB": fast_add,
    "AVERAGE_POOL_2D": fast_average_pool,
}
