"""Real numbers as int8 counts: `real = scale * (q - zero_point)`, and the clamp that a fused activation leaves of the int8 range.

All of it is float32 arithmetic with halves rounded away from zero, as TFLM does it (CalculateActivationRangeQuantized in
tensorflow/lite/kernels/kernel_util.cc), because the clamp decides output bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError
from edgecompress.graph import Activation

INT8_MIN = -128
INT8_MAX = 127
INT16_MIN = -32768
INT16_MAX = 32767
_INT32 = np.iinfo(np.int32)


class Clamp(NamedTuple):
    """The counts that an output may take, both included."""

    low: int
    high: int


INT8_RANGE = Clamp(INT8_MIN, INT8_MAX)
INT16_RANGE = Clamp(INT16_MIN, INT16_MAX)


def round_half_away(x: float) -> int:
    """The nearest integer, halves away from zero (C's `round`; Python's own rounds halves to even)."""
    # math.floor(x + 0.5) would be wrong for the largest double below 0.5, so the fraction is looked at alone.
    whole = int(x)
    fraction = x - whole
    if fraction >= 0.5:
        return whole + 1
    if fraction <= -0.5:
        return whole - 1
    return whole


def count_of(real: float, scale: float, zero_point: int) -> int:
    """The count that stands for `real`, not saturated; division and rounding in float32.

    Raises:
        ModelError: the count does not fit int32 (a scale near zero).
    """
    # A quotient beyond float32 is infinite, which is then refused like any other that is too large.
    with np.errstate(over="ignore"):
        quotient = float(np.float32(real) / np.float32(scale))
    if not (_INT32.min <= quotient <= _INT32.max):
        raise ModelError(f"scale {scale:g} cannot express {real:g}: expected a quotient that fits int32, came {quotient:g}")
    return zero_point + round_half_away(quotient)


def activation_clamp(activation: Activation, scale: float, zero_point: int, limits: Clamp = INT8_RANGE) -> Clamp:
    """What a fused activation leaves of the range of an output with this quantization (int8 unless `limits` says otherwise).

    TANH and SIGN_BIT leave all of it: TFLM ignores them here, so a lowering refuses them.
    """
    match activation:
        case Activation.RELU:
            return Clamp(max(limits.low, count_of(0.0, scale, zero_point)), limits.high)
        case Activation.RELU6:
            return Clamp(max(limits.low, count_of(0.0, scale, zero_point)), min(limits.high, count_of(6.0, scale, zero_point)))
        case Activation.RELU_N1_TO_1:
            return Clamp(max(limits.low, count_of(-1.0, scale, zero_point)), min(limits.high, count_of(1.0, scale, zero_point)))
        case _:
            return limits


def dequantize(q: NDArray[np.integer], scale: float, zero_point: int) -> NDArray[np.float32]:
    """The real numbers that counts stand for; same shape."""
    return (np.float32(scale) * (q.astype(np.int32) - zero_point).astype(np.float32)).astype(np.float32)


def quantize(real: NDArray[np.floating], scale: float, zero_point: int) -> NDArray[np.int8]:
    """int8 counts of real numbers, saturated; same shape. Halves are rounded away from zero."""
    scaled = real.astype(np.float32) / np.float32(scale)
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))
    counts: NDArray[np.float64] = np.clip(rounded.astype(np.float64) + zero_point, INT8_MIN, INT8_MAX)
    return counts.astype(np.int8)
