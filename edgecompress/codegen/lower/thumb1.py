"""Kernels for cores with 16-bit Thumb (Cortex-M0, M0+).

As in `dsp`: each function gets the portable step and returns a faster one, or None where its kernel's bounds do not hold.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecompress.codegen.lower.channels import CHANNEL_BYTES
from edgecompress.codegen.lower.dense import read_dense
from edgecompress.codegen.lower.layers import fewer_products, read_convolution
from edgecompress.codegen.lower.leads import pixels_lead
from edgecompress.codegen.lower.packing import FILTERS, RAISED, pack_single_filters
from edgecompress.codegen.lower.rules import FastLowering
from edgecompress.codegen.program import Constant, ConstantArg, LiteralArg, Names, ParamsArg, ScratchArg, Step
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Graph, Op

_PIXELS = 5
"""Output pixels that the kernel sums at once."""

_SHARE = 0.53
"""Of the instructions of a portable product that one of the convolution takes, where they are many (benchmarks/kernels.py)."""

_MOST_ELEMENTS = 1 << 15
"""Of a window: 2^15 products of up to 255 * 128 stay within int32."""

_ELEMENTS_AT_ONCE = 288
"""Of a window, in rows of taps: each of them takes 20 bytes of scratch; the fewer, the more often sums are stored and loaded."""

_ADD_WEIGHT = 1 << 20
_TABLE_BYTES = 4 * 256
_WORTH_A_TABLE = 512
"""Elements: an entry of the table takes about as long as an element saves."""


def fast_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Five pixels against one filter after the other."""
    options, layer = op.options, read_convolution(graph, op, portable)
    if layer is None or not isinstance(options, ConvOptions) or layer.matrix.shape[1] > _MOST_ELEMENTS:
        return None
    if not fewer_products(options, layer, _PIXELS, _SHARE):
        return None
    filters, kh, kw, filter_c = layer.weights.shape
    groups = layer.source.shape[3] // filter_c
    raised = (layer.matrix.astype(np.int16) + RAISED).astype(np.uint8).reshape(-1)
    comment = f"weights [{filters}][{kh}][{kw}][{filter_c}] (o, kh, kw, c), each + {RAISED}"
    weights = (ConstantArg(Constant(names.constant("weights"), "uint8_t", raised, comment)),)
    rows = min(max(_ELEMENTS_AT_ONCE // (kw * filter_c), 1), kh)
    channels = groups * -(-filters // groups // FILTERS) * FILTERS
    scratch = channels * CHANNEL_BYTES + 4 * _PIXELS * (filters // groups + rows * kw * filter_c)
    lead = pixels_lead(options, layer.source, layer.weights, layer.output, groups, at_once=_PIXELS)
    step = layer.step(names, "ec_conv2d_thumb1_s8", "thumb1", weights, scratch, lead)
    params, *others = step.arguments
    return replace(step, arguments=(params, LiteralArg(rows), *others))


def fast_depthwise(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """All channels of a window; not for a depth multiplier, nor for taps that lie apart in a row."""
    options, layer = op.options, read_convolution(graph, op, portable)
    if layer is None or not isinstance(options, DepthwiseConvOptions):
        return None
    _, kh, kw, channels = layer.weights.shape
    if options.depth_multiplier != 1 or options.dilation_w != 1:
        return None
    padded = -(-channels // FILTERS) * FILTERS
    scratch = padded * CHANNEL_BYTES + 4 * _PIXELS * channels + kh * kw * channels
    lead = pixels_lead(options, layer.source, layer.weights, layer.output, at_once=_PIXELS)
    return layer.step(names, "ec_depthwise_conv2d_thumb1_s8", "thumb1", (portable.arguments[2],), scratch, lead)


def fast_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four outputs at once, without scratch."""
    layer = read_dense(graph, op, portable)
    if layer is None or layer.matrix.shape[1] > _MOST_ELEMENTS:
        return None
    raised = (pack_single_filters(layer.matrix, FILTERS).astype(np.int16) + RAISED).astype(np.uint8)
    return layer.step(names, "ec_fully_connected_thumb1_s8", "thumb1", raised, f"four filters side by side, each + {RAISED}")


def fast_add(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """What the second input adds comes from a table that the call makes first."""
    params = portable.arguments[0]
    if portable.function != "ec_add_s8" or not isinstance(params, ParamsArg) or params.fields["a_weight"] != _ADD_WEIGHT:
        return None
    *others, out = portable.arguments
    if graph.tensor(portable.writes[0]).elements < _WORTH_A_TABLE:
        return None
    function = "ec_add_thumb1_s8"
    return replace(
        portable,
        function=function,
        kernel=f"kernels/thumb1/{function}.c",
        arguments=(*others, ScratchArg(), out),
        scratch_bytes=_TABLE_BYTES,
    )


LOWER: dict[str, FastLowering] = {
    "CONV_2D": fast_conv2d,
    "DEPTHWISE_CONV_2D": fast_depthwise,
    "FULLY_CONNECTED": fast_fully_connected,
    "ADD": fast_add,
    "SUB": fast_add,
}
