"""Bias and scale of every output channel, as few bits as say them exactly.

A fixed-point scale holds 24 bits that matter: the multiplier comes from `input scale * weight scale / output scale`, and only the float32
weight scale differs between channels. A channel is packed as the 23 mantissa bits of its weight scale, its distance in powers of two,
and its bias above the layer's smallest; kernels make the multiplier again from the mantissa and one 48-bit ratio of the layer. Whether each
comes out exactly is checked here; where one does not, the channels are written plainly.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.packing import FoldedBias
from edgecompress.codegen.program import Constant, Field, Names, ParamsArg
from edgecompress.graph import Tensor
from edgecompress.numerics.fixedpoint import FixedScale

CHANNEL_BYTES = 12
"""sizeof(ec_channel)."""

_MANTISSA_BITS = 23
_RATIO_BITS = 48
_LOW_BITS = 16
# A field is taken from one unaligned word, wherever its first bit stands in a byte.
_WIDEST_FIELD = 25
# The kernels' last load of a word may begin at the last byte.
_SPARE_BYTES = 4
_NEIGHBOURS = (0, 1, -1, 2, -2)


def channel_argument(
    names: Names,
    bias: NDArray[np.int64],
    scales: tuple[FixedScale, ...],
    weight_scales: tuple[float, ...],
    ratio: Fraction,
) -> ParamsArg:
    """An `ec_channel_data`.

    Args:
        bias: [channels], folded.
        scales: of each channel, all shifting to the right.
        weight_scales: of each channel or one for all, float32.
        ratio: input scale over output scale.
    """
    spread = weight_scales if len(weight_scales) == len(bias) else weight_scales * len(bias)
    return _packed(names, bias, scales, spread, ratio) or _plain(names, bias, scales)


def folded_channels(
    names: Names, folded: FoldedBias, scales: tuple[FixedScale, ...], source: Tensor, weights: Tensor, output: Tensor
) -> ParamsArg:
    """`channel_argument` of a layer."""
    ratio = Fraction(source.scale) / Fraction(output.scale)
    weight_scales = weights.quantization.scales if weights.quantization is not None else ()
    return channel_argument(names, folded.values, scales, weight_scales, ratio)


def right_shifts(scales: tuple[FixedScale, ...]) -> NDArray[np.int64]:
    """`shift_before_last` of an `ec_channel`: the rounding takes the last bit."""
    return np.array([-1 - s.shift for s in scales], np.int64)


def _plain(names: Names, bias: NDArray[np.int64], scales: tuple[FixedScale, ...]) -> ParamsArg:
    rows = np.stack([2 * bias, np.array([s.multiplier for s in scales], np.int64), right_shifts(scales)], axis=1)
    comment = f"channels [{len(rows)}]: bias less the zero point's part, doubled; multiplier; right shift before the last bit"
    return ParamsArg("ec_channel_data", {"data": Constant(names.constant("channels"), "ec_channel", rows, comment)})


def _packed(
    names: Names, bias: NDArray[np.int64], scales: tuple[FixedScale, ...], weight_scales: tuple[float, ...], ratio: Fraction
) -> ParamsArg | None:
    mantissas = [_mantissa(scale) for scale in weight_scales]
    factor = _exact_factor(mantissas, scales, ratio)
    if factor is None:
        return None
    shifts = right_shifts(scales) + np.array([_product(m, factor)[1] for m in mantissas], np.int64)
    base, bias_min = int(shifts.min()), int(bias.min())
    shift_bits, bias_bits = int(shifts.max() - base).bit_length(), max(1, int(bias.max() - bias_min).bit_length())
    if max(shift_bits, bias_bits) > _WIDEST_FIELD or base < 0:
        return None
    widths = (_MANTISSA_BITS, shift_bits, bias_bits)
    rows = zip(mantissas, shifts.tolist(), bias.tolist(), strict=True)
    data = _bits([(m - (1 << _MANTISSA_BITS), s - base, b - bias_min) for m, s, b in rows], widths)
    comment = f"channels [{len(mantissas)}]: {_MANTISSA_BITS} bits of mantissa, {shift_bits} of shift, {bias_bits} of bias"
    fields: dict[str, Field] = {
        "data": Constant(names.constant("channels"), "uint8_t", data, comment),
        "ratio_high": factor >> _LOW_BITS,
        "ratio_low": factor & ((1 << _LOW_BITS) - 1),
        "bias_min": bias_min,
        "bias_bits": bias_bits,
        "shift_bits": shift_bits,
        "shift_base": base,
    }
    return ParamsArg("ec_channel_data", fields)


def _mantissa(scale: float) -> int:
    """24 bits of a normal float32."""
    fraction, _ = np.frexp(np.float64(np.float32(scale)))
    return int(fraction * (1 << (_MANTISSA_BITS + 1)))


def _product(mantissa: int, factor: int) -> tuple[int, int]:
    """The multiplier that the kernels make, and 1 where the product has a bit more."""
    product = mantissa * (factor >> _LOW_BITS) + (mantissa * (factor & ((1 << _LOW_BITS) - 1)) >> _LOW_BITS)
    over = product >> 55
    return ((product >> (23 + over)) + 1) >> 1, over


def _exact_factor(mantissas: list[int], scales: tuple[FixedScale, ...], ratio: Fraction) -> int | None:
    """The ratio as 48 bits with which every channel's multiplier comes out, or None."""
    if ratio <= 0 or min(mantissas) < 1 << _MANTISSA_BITS:
        return None
    exponent = ratio.numerator.bit_length() - ratio.denominator.bit_length()
    nearest = round(ratio * Fraction(2) ** (_RATIO_BITS - 1 - exponent))
    if nearest < 1 << (_RATIO_BITS - 1):
        nearest = round(ratio * Fraction(2) ** (_RATIO_BITS - exponent))
    for factor in (nearest + n for n in _NEIGHBOURS):
        if factor.bit_length() == _RATIO_BITS and all(
            _product(m, factor)[0] == s.multiplier for m, s in zip(mantissas, scales, strict=True)
        ):
            return factor
    return None


def _bits(rows: list[tuple[int, ...]], widths: tuple[int, ...]) -> NDArray[np.uint8]:
    """Fields one after the other, the lowest bit of the first byte first."""
    stream, at = 0, 0
    for row in rows:
        for value, width in zip(row, widths, strict=True):
            stream |= value << at
            at += width
    return np.frombuffer(stream.to_bytes(-(-at // 8) + _SPARE_BYTES, "little"), np.uint8)
