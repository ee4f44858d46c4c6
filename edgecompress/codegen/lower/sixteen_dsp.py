"""Layers with weights on int16 activations, for cores with the DSP extension (firmware/include/ec_dsp_s16.h).

As in `dsp`, each function gets the portable step, checked by then, and returns a faster one, or None where a bound does not hold: sums
stay in int32 whatever the inputs, and the one rounding of TFLM's 64-bit sums is one that SMMULR does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.leads import pixels_lead
from edgecompress.codegen.lower.packing import worth_padding
from edgecompress.codegen.lower.rules import FastLowering, input_tensor, optional_input, output_tensor
from edgecompress.codegen.program import (
    Argument,
    Constant,
    ConstantArg,
    Field,
    LiteralArg,
    Names,
    Overlap,
    ParamsArg,
    ScratchArg,
    Step,
    TensorArg,
)
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, DType, FullyConnectedOptions, Graph, Op
from edgecompress.numerics.affine import INT16_MIN
from edgecompress.numerics.fixedpoint import FixedScale, reduced_multipliers
from edgecompress.numerics.reference.elementwise import add_scales, sub_scales
from edgecompress.numerics.reference.sixteen import ADD_LEFT_SHIFT
from edgecompress.numerics.scales import convolution_scales, dense_scales

_SUM_LIMIT = 1 << 31
_FOUR = 4
_PIXELS = 4
_ORDER = (0, 2, 1, 3)
"""Of four weights in a word: SXTB16 takes bytes 0 and 2, and 1 and 3 after a rotation."""
_HALF = FixedScale(1 << 30, 0)
_SHIFTS = range(-17, 0)
"""Of a scale: m * 2^(shift - 15) with m of 15 bits is (m << (17 + shift)) / 2^32, a multiplier below 2^31."""


def fast_conv2d(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four pixels against a filter. Not for groups, nor for fewer pixels."""
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if weights.data is None or not isinstance(op.options, ConvOptions) or weights.shape[3] != source.shape[3]:
        return None
    filters, kh, kw, depth = weights.shape
    matrix = weights.data.astype(np.int8).reshape(filters, -1)
    packed = pack_fours(matrix)
    channels = _channels(graph, op, names, matrix, convolution_scales(source, weights, output, filters))
    if channels is None or not worth_padding(matrix.size, packed.size) or output.shape[1] * output.shape[2] < _PIXELS:
        return None
    comment = f"weights [{filters}][{kh}][{kw}][{depth}] (o, kh, kw, c), {_words(packed)}"
    scratch = 2 * _PIXELS * packed.size // filters
    arguments = (_constant(names, packed, comment), channels, ScratchArg("int16_t"))
    lead = pixels_lead(op.options, source, weights, output, at_once=_PIXELS)
    return _step(portable, op, graph, "ec_conv2d_dsp_s16", arguments, scratch, lead)


def fast_depthwise(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """Four channels of a pixel. Not for a depth multiplier, nor for fewer than four channels."""
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    channels = output.shape[3]
    if weights.data is None or not isinstance(op.options, DepthwiseConvOptions) or op.options.depth_multiplier != 1 or channels < _FOUR:
        return None
    _, kh, kw, _ = weights.shape
    matrix = weights.data.astype(np.int8).reshape(-1, channels)
    packed = pack_channel_fours(matrix)
    scales = _channels(graph, op, names, matrix.T, convolution_scales(source, weights, output, channels))
    if scales is None or not worth_padding(matrix.size, packed.size):
        return None
    comment = f"weights [1][{kh}][{kw}][{channels}] (1, kh, kw, o), {_words(packed)}"
    # Channels of a pixel go in fours, of which the last ones read again what the others have read: as groups do.
    lead = pixels_lead(op.options, source, weights, output, groups=channels, at_once=1)
    return _step(portable, op, graph, "ec_depthwise_conv2d_dsp_s16", (_constant(names, packed, comment), scales), 0, lead)


def fast_fully_connected(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """A row against four outputs."""
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if weights.data is None or not isinstance(op.options, FullyConnectedOptions):
        return None
    matrix = weights.data.astype(np.int8)
    packed = pack_quads(matrix)
    scales = dense_scales(source, weights, output, len(matrix))
    channels = _channels(graph, op, names, matrix, scales if len(scales) > 1 else scales * len(matrix))
    if channels is None or not worth_padding(matrix.size, packed.size):
        return None
    comment = f"weights [{len(matrix)}][{matrix.shape[1]}] (o, i), {_words(packed)}"
    return _step(portable, op, graph, "ec_fully_connected_dsp_s16", (_constant(names, packed, comment), channels), 0, None)


def fast_add(graph: Graph, op: Op, names: Names, portable: Step) -> Step | None:
    """ADD and SUB of two tensors with the output's shape."""
    a, b, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if a.shape != output.shape or b.shape != output.shape:
        return None
    scales = (sub_scales if op.kind == "SUB" else add_scales)(a, b, output, ADD_LEFT_SHIFT)
    params = portable.arguments[0]
    terms = [(scales.a, 1, a), (scales.b, -1 if op.kind == "SUB" else 1, b)]
    # A scale of one half is an exact product; the larger of two is always one.
    (whole, sign, larger), (other, other_sign, smaller) = sorted(terms, key=lambda term: term[0] != _HALF)
    if whole != _HALF or scales.out.shift > -1 or (other != _HALF and other.shift > -1) or not isinstance(params, ParamsArg):
        return None
    equal = other == _HALF
    fields: dict[str, Field] = {
        "a_factor": sign << 14,
        "b_factor": other_sign << (14 if equal else 0),
        "b_multiplier": 0 if equal else other.multiplier,
        "b_shift_before_last": 0 if equal else -other.shift - 1,
        "out_multiplier": scales.out.multiplier,
        "out_shift_before_last": -scales.out.shift - 1,
        "out_min": params.fields["out_min"],
        "out_max": params.fields["out_max"],
    }
    function = "ec_add_dsp_s16"
    arguments: tuple[Argument, ...] = (
        ParamsArg("ec_add_dsp_s16_params", fields),
        TensorArg(larger.index, "int16_t"),
        TensorArg(smaller.index, "int16_t"),
        LiteralArg(output.elements),
        TensorArg(output.index, "int16_t"),
    )
    return replace(portable, function=function, kernel=f"kernels/dsp/{function}.c", arguments=arguments)


def pack_fours(matrix: NDArray[np.int8]) -> NDArray[np.int8]:
    """Filters [filters, n], padded with zeros to fours of n, their words in `_ORDER`: [filters][fours of n][4], flat."""
    filters, n = matrix.shape
    padded = np.zeros((filters, -(-n // _FOUR) * _FOUR), np.int8)
    padded[:, :n] = matrix
    return padded.reshape(-1, _FOUR)[:, _ORDER].reshape(-1)


def pack_quads(matrix: NDArray[np.int8]) -> NDArray[np.int8]:
    """The same for fours of filters, padded likewise, whose words lie side by side: [fours of filters][fours of n][4 filters][4], flat."""
    filters, n = matrix.shape
    padded = np.zeros((-(-filters // _FOUR) * _FOUR, n), np.int8)
    padded[:filters] = matrix
    words = pack_fours(padded).reshape(-1, _FOUR, -(-n // _FOUR), _FOUR)
    return np.ascontiguousarray(words.transpose(0, 2, 1, 3)).reshape(-1)


def pack_channel_fours(matrix: NDArray[np.int8]) -> NDArray[np.int8]:
    """Depthwise weights [taps, channels] as [fours of channels][taps][4 channels]; the last four end with the last channel; flat."""
    _, channels = matrix.shape
    starts = [min(first, channels - _FOUR) for first in range(0, channels, _FOUR)]
    return np.stack([matrix[:, first : first + _FOUR][:, _ORDER] for first in starts]).reshape(-1)


def _words(packed: NDArray[np.int8]) -> str:
    return f"{packed.size // _FOUR} words for pairs of int16"


def _constant(names: Names, packed: NDArray[np.int8], comment: str) -> ConstantArg:
    return ConstantArg(Constant(names.constant("weights"), "int8_t", packed, comment))


def _channels(graph: Graph, op: Op, names: Names, matrix: NDArray[np.int8], scales: Sequence[FixedScale]) -> ConstantArg | None:
    """Bias and multiplier of each row of `matrix`; None where sums may leave int32, or a scale or the arithmetic is another one."""
    bias = optional_input(graph, op, 2)
    narrow = isinstance(op.options, ConvOptions | FullyConnectedOptions) and op.options.narrow_sums
    if narrow if bias is None else bias.data is None or bias.dtype is not DType.INT64:
        return None
    zeros = np.zeros(len(matrix), np.int64)
    values = zeros if bias is None or bias.data is None else bias.data.reshape(-1).astype(np.int64)
    reach = np.abs(values) - INT16_MIN * np.abs(matrix.astype(np.int64)).sum(axis=1)
    if reach.max(initial=0) >= _SUM_LIMIT or any(scale.multiplier and scale.shift not in _SHIFTS for scale in scales):
        return None
    reduced = reduced_multipliers(np.array([scale.multiplier for scale in scales], np.int64))
    lefts = np.array([17 + scale.shift if scale.multiplier else 0 for scale in scales], np.int64)
    rows = np.stack([values, reduced << lefts], axis=1)
    return ConstantArg(Constant(names.constant("channels"), "ec_channel_s16", rows, f"channels [{len(rows)}]: bias, multiplier"))


def _step(
    portable: Step, op: Op, graph: Graph, function: str, arguments: tuple[Argument, ...], scratch_bytes: int, lead: int | None
) -> Step:
    """The call of a kernel with the arguments `(params, in, *arguments, out)`. Images go one after the other, so more than one may not
    overlap."""
    source, output = input_tensor(graph, op, 0), output_tensor(graph, op)
    return replace(
        portable,
        function=function,
        kernel=f"kernels/dsp/{function}.c",
        arguments=(portable.arguments[0], TensorArg(source.index, "int16_t"), *arguments, TensorArg(output.index, "int16_t")),
        scratch_bytes=scratch_bytes,
        overlaps=() if lead is None or source.shape[0] != 1 or source.is_constant else (Overlap(source.index, output.index, lead),),
    )


LOWER: dict[str, FastLowering] = {
    "CONV_2D": fast_conv2d,
    "DEPTHWISE_CONV_2D": fast_depthwise,
    "FULLY_CONNECTED": fast_fully_connected,
    "ADD": fast_add,
    "SUB": fast_add,
}
