"""Kernels for Thumb-2 cores without the DSP extension (Cortex-M3, Cortex-M33 without DSP).

As in `dsp`: each function gets the portable step and returns a faster one, or None where its kernel's bounds do not hold.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecompress.codegen.lower.channels import CHANNEL_BYTES
from edgecompress.codegen.lower.dense import read_dense
from edgecompress.codegen.lower.elementwise import is_plain_sum
from edgecompress.codegen.lower.layers import fewer_products, read_convolution
from edgecompress.codegen.lower.leads import pixels_lead, rows_lead
from edgecompress.codegen.lower.packing import FILTERS, RAISED, pack_element_pairs, pack_single_filters, worth_padding
from edgecompress.codegen.lower.rules import FastLowering
from edgecompress.codegen.program import Constant, ConstantArg, Names, Step
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Graph, Op
from edgecompress.numerics.window import span

_PIXELS, _FILTERS = 4, 2
"""That the convolution sums at once; an element of a pixel is a word in scratch."""

_SHARE = 0.48
"""Of the instructions of a portable product that one of the convolution takes, where they are many (benchmarks/kernels.py)."""

_ROW_PIXELS = 4
"""Of a row of outputs that the depthwise kernel sums at once; a narrower row is padded to them."""


def fast_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four pixels against two filters."""
    options, layer = op.options, read_convolution(graph, op, portable)
    if layer is None or not isinstance(options, ConvOptions):
        return None
    if not fewer_products(options, layer, _PIXELS, _SHARE):
        return None
    filters, kh, kw, filter_c = layer.weights.shape
    groups = layer.source.shape[3] // filter_c
    packed = np.concatenate([pack_single_filters(part, _FILTERS) for part in np.split(layer.matrix, groups)])
    if not worth_padding(layer.matrix.size, packed.size):
        return None
    elements = layer.matrix.shape[1]
    comment = (
        f"weights [{filters}][{kh}][{kw}][{filter_c}] (o, kh, kw, c) as [{packed.size // elements // _FILTERS}][{elements}][{_FILTERS}]"
    )
    weights = (ConstantArg(Constant(names.constant("weights"), "int8_t", packed, comment)),)
    channels = groups * -(-filters // groups // FILTERS) * FILTERS
    scratch = channels * CHANNEL_BYTES + _PIXELS * (4 * elements + filters)
    lead = pixels_lead(options, layer.source, layer.weights, layer.output, groups, at_once=_PIXELS)
    return layer.step(names, "ec_conv2d_thumb2_s8", "thumb2", weights, scratch, lead)


def fast_depthwise(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four or five pixels of a row, one channel after the other. Not for a depth multiplier."""
    options, layer = op.options, read_convolution(graph, op, portable)
    if layer is None or not isinstance(options, DepthwiseConvOptions) or options.depth_multiplier != 1:
        return None
    _, kh, kw, channels = layer.weights.shape
    comment = f"weights [1][{kh}][{kw}][{channels}] (kh, kw, o) as [{channels}][{kh}][{kw}]"
    weights = (ConstantArg(Constant(names.constant("weights"), "int8_t", np.ascontiguousarray(layer.matrix).reshape(-1), comment)),)
    columns = (max(layer.output.shape[2], _ROW_PIXELS) - 1) * options.stride_w + span(kw, options.dilation_w)
    ring = channels * columns * (span(kh, options.dilation_h) + 1)
    padded = -(-channels // FILTERS) * FILTERS
    scratch = padded * CHANNEL_BYTES + 4 * kh + ring + _ROW_PIXELS * channels
    lead = rows_lead(options, layer.source, layer.weights, layer.output, at_once=1)
    return layer.step(names, "ec_depthwise_conv2d_thumb2_s8", "thumb2", weights, scratch, lead)


def fast_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four outputs at once, two elements a product, without scratch."""
    layer = read_dense(graph, op, portable)
    packed = None if layer is None else pack_element_pairs(layer.matrix)
    if layer is None or packed is None:
        return None
    return layer.step(names, "ec_fully_connected_thumb2_s8", "thumb2", packed, f"pairs of elements of four filters, each + {RAISED}")


def fast_add(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Sums of two tensors of one shape; a difference stays with the portable kernel."""
    if not is_plain_sum(portable):
        return None
    return replace(portable, function="ec_add_thumb2_s8", kernel="kernels/thumb2/ec_add_thumb2_s8.c")


LOWER: dict[str, FastLowering] = {
    "CONV_2D": fast_conv2d,
    "DEPTHWISE_CONV_2D": fast_depthwise,
    "FULLY_CONNECTED": fast_fully_connected,
    "ADD": fast_add,
    "SUB": fast_add,
}
