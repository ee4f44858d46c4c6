"""Real scales as integers that a Cortex-M can multiply by.

`scale ~= multiplier * 2**(shift - 31)`; an accumulator is multiplied by it with two roundings, as gemmlowp does:

    high = (acc * 2**max(shift, 0) * multiplier + 2**30) >> 31      half up
    out  = high / 2**max(-shift, 0)                                 half away from zero

The C twin is `firmware/include/ec_requantize.h`. Source: QuantizeMultiplier (tensorflow/lite/kernels/internal/quantization_util.cc),
SaturatingRoundingDoublingHighMul and RoundingDivideByPOT (gemmlowp/fixedpoint). gemmlowp writes the first rounding as a truncating division
with a nudge of either sign; that is the same number as the floor above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError
from edgecompress.numerics.affine import INT8_MAX, INT8_MIN, INT16_MAX, INT16_MIN, round_half_away

MIN_SHIFT = -31
MAX_SHIFT = 30
INT64_MAX_SHIFT = 7
"""The largest shift to the left that TFLM scales 64-bit sums with."""
INT64_SUM_LIMIT = 1 << 47
"""64-bit sums must be smaller than this, so that the product with a 15-bit multiplier fits."""


@dataclass(frozen=True)
class FixedScale:
    """`multiplier * 2**(shift - 31)`, with 2**30 <= |multiplier| < 2**31 (or 0) and shift in [-31, 30]."""

    multiplier: int
    shift: int


def quantize_multiplier(real: float) -> FixedScale:
    """The fixed-point scale next to `real`; anything smaller than about 2**-32 becomes 0.

    Raises:
        ModelError: `real` is not finite, or 2**30 or more.
    """
    if not math.isfinite(real):
        raise ModelError(f"expected a finite scale, came {real}")
    fraction, shift = math.frexp(real)
    multiplier = round_half_away(fraction * (1 << 31))
    if abs(multiplier) == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < MIN_SHIFT:
        return FixedScale(0, 0)
    if shift > MAX_SHIFT:
        raise ModelError(
            f"expected a scale below 2**30, came {real:g}", hint="the output's scale is far too small: calibrate the model again"
        )
    return FixedScale(multiplier, shift)


def high_mul(a: NDArray[np.int32], multiplier: int | NDArray[np.int32]) -> NDArray[np.int32]:
    """`a * multiplier / 2**31`, half up; shapes broadcast. Not for a = multiplier = -2**31."""
    product = a.astype(np.int64) * np.asarray(multiplier, dtype=np.int64)
    return ((product + (1 << 30)) >> 31).astype(np.int32)


def shift_right_rounded(x: NDArray[np.int32], exponent: int | NDArray[np.int32]) -> NDArray[np.int32]:
    """`x / 2**exponent`, halves away from zero; exponent in [0, 31], shapes broadcast."""
    wide = x.astype(np.int64)
    e = np.asarray(exponent, dtype=np.int64)
    half = (np.int64(1) << e) >> 1
    nudge = np.where((wide < 0) & (e > 0), np.int64(-1), np.int64(0))
    return ((wide + half + nudge) >> e).astype(np.int32)


def multiply_by_scale(acc: NDArray[np.int32], multiplier: int | NDArray[np.int32], shift: int | NDArray[np.int32]) -> NDArray[np.int32]:
    """`acc * scale` with both roundings; `ec_multiply_by_scale` in C. Shapes broadcast; a shift to the left wraps around in 32 bits."""
    s = np.asarray(shift, dtype=np.int64)
    left = np.maximum(s, 0)
    shifted = (acc.astype(np.int64) << left).astype(np.uint32).astype(np.int32)
    return shift_right_rounded(high_mul(shifted, multiplier), np.maximum(-s, 0).astype(np.int32))


def requantize(
    acc: NDArray[np.int32], scales: Sequence[FixedScale], zero_point: int, low: int = INT8_MIN, high: int = INT8_MAX
) -> NDArray[np.int8]:
    """Bring int32 accumulators back to int8, one scale per channel; `ec_requantize` in C.

    Args:
        acc: [..., C] accumulators, bias already added.
        scales: C entries, in channel order, or a single one for all.
        zero_point: of the output tensor, in int8 counts.
        low, high: the clamp of the fused activation.

    Returns:
        [..., C], clamped to [low, high].
    """
    multipliers = np.array([s.multiplier for s in scales], dtype=np.int32)
    shifts = np.array([s.shift for s in scales], dtype=np.int32)
    # One scale also holds for an accumulator without dimensions.
    scaled = multiply_by_scale(acc, multipliers, shifts) if len(scales) > 1 else multiply_by_scale(acc, multipliers[0], shifts[0])
    moved = (scaled.astype(np.int64) + zero_point).astype(np.uint32).astype(np.int32)
    return np.clip(moved, low, high).astype(np.int8)


def requantize_int16(
    acc: NDArray[np.int32], scales: Sequence[FixedScale], low: int = INT16_MIN, high: int = INT16_MAX
) -> NDArray[np.int16]:
    """As `requantize`, to int16 with zero point 0; `ec_requantize_s16` in C."""
    multipliers, shifts = _columns(scales)
    clamped: NDArray[np.int32] = np.clip(multiply_by_scale(acc, multipliers, shifts), low, high)
    return clamped.astype(np.int16)


def reduced_multipliers(multipliers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Multipliers of 31 bits rounded to the 15 bits that sums of 64 bits are scaled with."""
    reduced: NDArray[np.int64] = np.minimum((multipliers + (1 << 15)) >> 16, (1 << 15) - 1)
    return reduced


def requantize_int64(
    acc: NDArray[np.int64], scales: Sequence[FixedScale], low: int = INT16_MIN, high: int = INT16_MAX
) -> NDArray[np.int16]:
    """Bring int64 accumulators to int16 with zero point 0, one scale per channel; `ec_requantize_s64` in C.

    The multiplier is rounded to 15 bits, so that one 64-bit product holds it all: `(acc * m15 + 2**(14 - shift)) >> (15 - shift)`, of which
    TFLM keeps the low 32 bits before it clamps.

    Args:
        acc: [..., C] accumulators below `INT64_SUM_LIMIT`, bias already added.
        scales: C entries, in channel order, or a single one for all; shifts at most `INT64_MAX_SHIFT`.
        low, high: the clamp of the fused activation.
    """
    multipliers, shifts = _columns(scales)
    reduced = reduced_multipliers(multipliers.astype(np.int64))
    down = 15 - shifts.astype(np.int64)
    scaled = (acc * reduced + (np.int64(1) << (down - 1))) >> down
    clamped: NDArray[np.int32] = np.clip(scaled.astype(np.uint32).astype(np.int32), low, high)
    return clamped.astype(np.int16)


def _columns(scales: Sequence[FixedScale]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Multipliers and shifts; without dimensions for a single scale."""
    shape = () if len(scales) == 1 else (len(scales),)
    multipliers, shifts = ([s.multiplier for s in scales], [s.shift for s in scales])
    return np.array(multipliers, np.int32).reshape(shape), np.array(shifts, np.int32).reshape(shape)
