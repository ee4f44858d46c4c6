"""Kernels for Thumb-2 cores without the DSP extension (Cortex-M3, Cortex-M33 without DSP).

As in `dsp`: each function gets the portable step and returns a faster one, or None where its kernel's bounds do not hold.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecompress.codegen.lower.channels import CHANNEL_BYTES, folded_channels
from edgecompress.codegen.lower.leads import pixels_lead
from edgecompress.codegen.lower.packing import FILTERS, fold_bias, pack_single_filters, shifts_right, worth_padding
from edgecompress.codegen.lower.rules import FastLowering, input_tensor, output_tensor
from edgecompress.codegen.lower.weighted import bias_values
from edgecompress.codegen.program import Constant, ConstantArg, Names, Overlap, ScratchArg, Step, TensorArg
from edgecompress.graph import ConvOptions, Graph, Op
from edgecompress.numerics.scales import convolution_scales

_PAIR_BYTES = 8
"""An element of two pixels in scratch, as words."""


def fast_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Two pixels against four filters. Not for weights that the model computes."""
    options = op.options
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if weights.data is None or source.is_constant or not isinstance(options, ConvOptions):
        return None
    filters, kh, kw, filter_c = weights.shape
    groups = source.shape[3] // filter_c
    scales = convolution_scales(source, weights, output, filters)
    matrix = weights.data.reshape(filters, -1).astype(np.int8)
    folded = fold_bias(matrix, bias_values(graph, op), source.zero_point)
    packed = np.concatenate([pack_single_filters(part) for part in np.split(matrix, groups)])
    if not folded.fits or not shifts_right(scales) or not worth_padding(matrix.size, packed.size):
        return None
    fours = groups * -(-filters // groups // FILTERS)
    comment = f"weights [{filters}][{kh}][{kw}][{filter_c}] (o, kh, kw, c) as [{fours}][{matrix.shape[1]}][4]"
    arguments = (
        portable.arguments[0],
        TensorArg(source.index),
        ConstantArg(Constant(names.constant("weights"), "int8_t", packed, comment)),
        folded_channels(names, folded, scales, source, weights, output),
        ScratchArg(),
        TensorArg(output.index),
    )
    return replace(
        portable,
        function="ec_conv2d_thumb2_s8",
        kernel="kernels/thumb2/ec_conv2d_thumb2_s8.c",
        arguments=arguments,
        scratch_bytes=fours * FILTERS * CHANNEL_BYTES + _PAIR_BYTES * matrix.shape[1],
        overlaps=(Overlap(source.index, output.index, pixels_lead(options, source, weights, output, groups)),),
    )


LOWER: dict[str, FastLowering] = {"CONV_2D": fast_conv2d}
