"""Kernels for cores with the DSP extension (Cortex-M4, M7, M33).

Each function gets the step that the portable lowering made, so everything is checked by then; it returns a faster step, or None where its
kernel's bounds do not hold (docs/kernels.md lists them).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.channels import CHANNEL_BYTES
from edgecompress.codegen.lower.dense import read_dense
from edgecompress.codegen.lower.dsp_dense import packed_fully_connected, small_fully_connected, sparse_fully_connected
from edgecompress.codegen.lower.elementwise import is_plain_sum
from edgecompress.codegen.lower.layers import read_convolution
from edgecompress.codegen.lower.leads import pixels_lead, rows_lead
from edgecompress.codegen.lower.packed import packed_argument
from edgecompress.codegen.lower.packed_weights import pack_weights
from edgecompress.codegen.lower.packing import (
    FILTERS,
    Blocks,
    element_pairs,
    pack_blocks,
    pack_two_filters,
    whole_pairs,
    worth_padding,
)
from edgecompress.codegen.lower.rules import FastLowering, input_tensor
from edgecompress.codegen.program import Argument, Constant, ConstantArg, LiteralArg, Names, Step
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Graph, Op
from edgecompress.numerics.window import span

FOLDER = "dsp"
"""Of the kernels, below firmware/kernels."""

BLOCK = 4
"""Weights of a block, along the input channels."""

_BLOCK_PIXELS = 4
# At 16 filters a window that is expanded again costs a twentieth of its products; a multiple of four.
_UNPACKED_FILTERS = 16
# Filters in words take twice as long to unpack as filters in bytes; with fewer pixels the portable kernel is faster (benchmarks/packed.py).
_FEWEST_PIXELS = 8
_ELEMENT_BYTES = 2 * _BLOCK_PIXELS

# Instructions of four pixels and one filter: a product of the dense kernel and its outputs, a block and its outputs.
_DENSE_PRODUCT, _DENSE_OUTPUT = 3.1, 46
_BLOCK_COST, _BLOCK_OUTPUT = 16.5, 56


def fast_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Two pixels against four filters."""
    options, layer = op.options, read_convolution(graph, op, portable)
    if layer is None or not isinstance(options, ConvOptions):
        return None
    filters, kh, kw, filter_c = layer.weights.shape
    groups = layer.source.shape[3] // filter_c
    whole = groups == 1 and options.dilation_w == 1
    pairs = element_pairs(kh, kw * filter_c) if whole else element_pairs(kh * kw, filter_c)
    packed = _pack_groups(layer.matrix, groups, pairs)
    if packed is None or not worth_padding(layer.matrix.size, packed.size):
        return None
    quads = groups * -(-filters // groups // FILTERS)
    comment = f"weights [{filters}][{kh}][{kw}][{filter_c}] (o, kh, kw, c), [{quads}][{len(pairs)}] words of two elements and two filters"
    weights = (ConstantArg(Constant(names.constant("weights"), "int8_t", packed, comment)),)
    scratch = quads * FILTERS * CHANNEL_BYTES + 8 * len(pairs)
    lead = pixels_lead(options, layer.source, layer.weights, layer.output, groups)
    return layer.step(names, "ec_conv2d_dsp_s8", FOLDER, weights, scratch, lead)


def sparse_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Only blocks of four input channels that are not all zero, where that takes fewer instructions. Not for groups."""
    options, layer = op.options, read_convolution(graph, op, portable)
    if layer is None or not isinstance(options, ConvOptions):
        return None
    filters, kh, kw, filter_c = layer.weights.shape
    if filter_c % BLOCK or filter_c != layer.source.shape[3]:
        return None
    blocks = pack_blocks(layer.matrix)
    if blocks is None or not _blocks_pay(layer.matrix, blocks):
        return None
    kept = f"{blocks.count} of {layer.matrix.size // BLOCK} blocks of {BLOCK}, a distance in front of each"
    comment = f"weights [{filters}][{kh}][{kw}][{filter_c}] (o, kh, kw, c): {kept}"
    weights = (ConstantArg(Constant(names.constant("blocks"), "int8_t", blocks.stream, comment)), LiteralArg(blocks.stream.size))
    scratch = -(-filters // FILTERS) * FILTERS * CHANNEL_BYTES + _ELEMENT_BYTES * layer.matrix.shape[1]
    lead = pixels_lead(options, layer.source, layer.weights, layer.output, at_once=_BLOCK_PIXELS)
    return layer.step(names, "ec_conv2d_blocks_dsp_s8", FOLDER, weights, scratch, lead)


def packed_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """The dense kernel's loops on filters that are unpacked to scratch, all at once. Not for groups."""
    return _packed_conv2d(graph, op, names, portable, input_tensor(graph, op, 1).shape[0])


def strips_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """The same, a few filters at a time, where there are more: in less scratch, but the output may not overlap the input."""
    if input_tensor(graph, op, 1).shape[0] <= _UNPACKED_FILTERS:
        return None
    step = _packed_conv2d(graph, op, names, portable, _UNPACKED_FILTERS)
    return None if step is None else replace(step, overlaps=())


def _packed_conv2d(graph: Graph, op: Op, names: Names, portable: Step, at_once: int) -> Step | None:
    options, layer = op.options, read_convolution(graph, op, portable)
    packed = None if layer is None else pack_weights(layer.matrix)
    if layer is None or packed is None or not isinstance(options, ConvOptions) or layer.weights.shape[3] != layer.source.shape[3]:
        return None
    filters, kh, kw, filter_c = layer.weights.shape
    pairs = element_pairs(kh, kw * filter_c) if options.dilation_w == 1 else element_pairs(kh * kw, filter_c)
    pixels = layer.output.elements // filters
    if pixels < _FEWEST_PIXELS or pack_two_filters(layer.matrix, pairs) is None:
        return None
    quads = -(-at_once // FILTERS)
    channels = -(-filters // FILTERS) * FILTERS
    scratch = channels * CHANNEL_BYTES + 8 * len(pairs) * (1 + quads) + FILTERS * packed.filter_len
    lead = pixels_lead(options, layer.source, layer.weights, layer.output)
    weights = (packed_argument(names, layer.weights, packed), LiteralArg(at_once))
    return layer.step(names, "ec_conv2d_packed_dsp_s8", FOLDER, weights, scratch, lead)


def best_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Sparse where that is faster, else dense."""
    return sparse_conv2d(graph, op, names, portable) or fast_conv2d(graph, op, names, portable)


def _blocks_pay(matrix: NDArray[np.int8], blocks: Blocks) -> bool:
    """Whether blocks take fewer instructions than all weights; figures of four pixels and one filter, from benchmarks/kernels.py."""
    filters = len(matrix)
    dense = _DENSE_PRODUCT * matrix.size + _DENSE_OUTPUT * filters
    return _BLOCK_COST * blocks.count + _BLOCK_OUTPUT * filters < dense


def fast_depthwise(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four channels of two pixels. Not for a depth multiplier, for a stride beyond 2, nor for taps that lie apart in a row."""
    return _depthwise(graph, op, names, portable, "ec_depthwise_conv2d_dsp_s8", portable.arguments[2])


def packed_depthwise(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """The same from packed weights, in the same scratch: they are unpacked where the ring of rows will be."""
    weights = input_tensor(graph, op, 1)
    packed = None if weights.data is None else pack_weights(weights.data.astype(np.int8).reshape(1, -1))
    if packed is None:
        return None
    return _depthwise(graph, op, names, portable, "ec_depthwise_conv2d_packed_dsp_s8", packed_argument(names, weights, packed))


def _depthwise(graph: Graph, op: Op, names: Names, portable: Step, function: str, weights: Argument) -> Step | None:
    options, layer = op.options, read_convolution(graph, op, portable)
    if layer is None or not isinstance(options, DepthwiseConvOptions):
        return None
    if options.depth_multiplier != 1 or options.stride_w > 2 or options.dilation_w != 1:
        return None
    _, kh, kw, channels = layer.weights.shape
    quads = -(-channels // FILTERS)
    row_bytes = 8 * ((2 * -(-layer.output.shape[2] // 2) - 1) * options.stride_w + kw)
    scratch = quads * (FILTERS * CHANNEL_BYTES + kh * (4 + 8 * kw) + row_bytes * span(kh, options.dilation_h)) + row_bytes
    lead = rows_lead(options, layer.source, layer.weights, layer.output)
    return layer.step(names, function, FOLDER, (weights,), scratch, lead)


def best_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Sparse where that is faster, else dense."""
    return sparse_fully_connected(graph, op, names, portable) or fast_fully_connected(graph, op, names, portable)


def fast_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four outputs at once, without scratch. Not for weights that the model computes or that have a zero point."""
    layer = read_dense(graph, op, portable)
    packed = None if layer is None else pack_two_filters(layer.matrix, whole_pairs(layer.matrix.shape[1]))
    if layer is None or packed is None:
        return None
    return layer.step(names, "ec_fully_connected_dsp_s8", FOLDER, packed, "in words of two elements and two filters")


def fast_add(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Sums of two tensors of one shape; a difference stays with the portable kernel."""
    if not is_plain_sum(portable):
        return None
    return replace(portable, function="ec_add_dsp_s8", kernel="kernels/dsp/ec_add_dsp_s8.c")


def _pack_groups(matrix: NDArray[np.int8], groups: int, pairs: list[tuple[int, int]]) -> NDArray[np.int8] | None:
    packed = [pack_two_filters(part, pairs) for part in np.split(matrix, groups)]
    whole = [p for p in packed if p is not None]
    return np.concatenate(whole) if len(whole) == groups else None


LOWER: dict[str, FastLowering] = {
    "DEPTHWISE_CONV_2D": fast_depthwise,
    "FULLY_CONNECTED": best_fully_connected,
    "ADD": fast_add,
    "SUB": fast_add,
    "CONV_2D": best_conv2d,
}

PACKED: dict[str, FastLowering] = {
    "CONV_2D": packed_conv2d,
    "DEPTHWISE_CONV_2D": packed_depthwise,
    "FULLY_CONNECTED": packed_fully_connected,
}
"""From packed weights, where size counts."""

SMALL: dict[str, FastLowering] = {"CONV_2D": strips_conv2d, "FULLY_CONNECTED": small_fully_connected}
"""The same with less scratch."""
