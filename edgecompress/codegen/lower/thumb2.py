"""Kernels for Thumb-2 cores without the DSP extension (Cortex-M3, Cortex-M33 without DSP).

As in `dsp`: each function gets the portable step and returns a faster one, or None where its kernel's bounds do not hold.
"""

from __future__ import annotations

import numpy as np

from edgecompress.codegen.lower.channels import CHANNEL_BYTES
from edgecompress.codegen.lower.layers import read_convolution
from edgecompress.codegen.lower.leads import pixels_lead
from edgecompress.codegen.lower.packing import FILTERS, pack_single_filters, worth_padding
from edgecompress.codegen.lower.rules import FastLowering
from edgecompress.codegen.program import Constant, ConstantArg, Names, Step
from edgecompress.graph import ConvOptions, Graph, Op

_PAIR_BYTES = 8
"""An element of two pixels in scratch, as words."""


def fast_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Two pixels against four filters."""
    options, layer = op.options, read_convolution(graph, op, portable)
    if layer is None or not isinstance(options, ConvOptions):
        return None
    filters, kh, kw, filter_c = layer.weights.shape
    groups = layer.source.shape[3] // filter_c
    packed = np.concatenate([pack_single_filters(part) for part in np.split(layer.matrix, groups)])
    if not worth_padding(layer.matrix.size, packed.size):
        return None
    fours = groups * -(-filters // groups // FILTERS)
    elements = layer.matrix.shape[1]
    comment = f"weights [{filters}][{kh}][{kw}][{filter_c}] (o, kh, kw, c) as [{fours}][{elements}][4]"
    weights = (ConstantArg(Constant(names.constant("weights"), "int8_t", packed, comment)),)
    scratch = fours * FILTERS * CHANNEL_BYTES + _PAIR_BYTES * elements
    lead = pixels_lead(options, layer.source, layer.weights, layer.output, groups)
    return layer.step(names, "ec_conv2d_thumb2_s8", "thumb2", weights, scratch, lead)


LOWER: dict[str, FastLowering] = {"CONV_2D": fast_conv2d}
