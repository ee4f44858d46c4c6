"""Fixed-point scales against the definitions that they come from, written out with Python's own integers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgecompress.errors import ModelError
from edgecompress.graph import Activation
from edgecompress.numerics.affine import Clamp, activation_clamp, count_of, dequantize, quantize, round_half_away
from edgecompress.numerics.fixedpoint import FixedScale, high_mul, multiply_by_scale, quantize_multiplier, requantize, shift_right_rounded

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def gemmlowp_high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul: a nudge of the product's sign, then a division that truncates."""
    product = a * b
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    return abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)


def gemmlowp_shift(x: int, exponent: int) -> int:
    """RoundingDivideByPOT: the remainder against half of the divisor, one more for negative numbers."""
    mask = (1 << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (1 if x < 0 else 0))


def accumulators(rng: np.random.Generator, count: int) -> np.ndarray:
    """int32 numbers of every magnitude, the ends of the range among them."""
    wide = rng.integers(INT32_MIN, INT32_MAX, count, dtype=np.int64, endpoint=True) >> rng.integers(0, 31, count)
    return np.concatenate([wide, [0, 1, -1, INT32_MAX, INT32_MIN + 1, INT32_MIN]]).astype(np.int32)


@pytest.mark.parametrize("multiplier", [0, 2**30, 2**30 + 1, 1518500250, INT32_MAX, -(2**30), -INT32_MAX])
def test_high_mul_is_gemmlowp(multiplier: int) -> None:
    """A floor with one nudge gives what gemmlowp's truncation with two nudges gives."""
    a = accumulators(np.random.default_rng(1), 2000)
    assert high_mul(a, multiplier).tolist() == [gemmlowp_high_mul(int(x), multiplier) for x in a]


@pytest.mark.parametrize("exponent", [0, 1, 2, 7, 15, 30, 31])
def test_shift_is_gemmlowp(exponent: int) -> None:
    """Halves go away from zero, for every exponent that a scale can have."""
    x = accumulators(np.random.default_rng(2), 2000)
    assert shift_right_rounded(x, exponent).tolist() == [gemmlowp_shift(int(v), exponent) for v in x]


def test_a_shift_to_the_left_wraps() -> None:
    """Accumulators that a large scale pushes out of int32 wrap around, as they do in C."""
    out = multiply_by_scale(np.array([2**30, 3], np.int32), 2**30, 2)
    assert out.tolist() == [gemmlowp_high_mul(0, 2**30), gemmlowp_high_mul(12, 2**30)]


@pytest.mark.parametrize("real", [1.0, 0.5, 0.999999999999, 1 / 3, 1e-3, 2.0**-31, 2.0**-32, 100.0, 2.0**30 - 1, -0.3])
def test_a_scale_is_near_its_number(real: float) -> None:
    """multiplier * 2**(shift - 31) is within half a unit of the multiplier, which uses all of its bits."""
    fixed = quantize_multiplier(real)
    assert math.isclose(fixed.multiplier * 2.0 ** (fixed.shift - 31), real, rel_tol=2.0**-31)
    assert 2**30 <= abs(fixed.multiplier) < 2**31
    assert -31 <= fixed.shift <= 30


@pytest.mark.parametrize(("real", "expected"), [(0.0, (0, 0)), (2.0**-33, (0, 0)), (1e-30, (0, 0)), (1 - 2.0**-40, (2**30, 1))])
def test_scales_at_the_edges(real: float, expected: tuple[int, int]) -> None:
    """Tiny scales are 0, and a fraction that rounds to 1 moves to the next exponent."""
    assert quantize_multiplier(real) == FixedScale(*expected)


@pytest.mark.parametrize("real", [2.0**30, 1e300, math.inf, math.nan])
def test_scales_that_no_shift_reaches_are_refused(real: float) -> None:
    """A scale of 2**30 or more is an error, not a wrong shift."""
    with pytest.raises(ModelError, match="expected a"):
        quantize_multiplier(real)


def test_requantize_moves_and_clamps_per_channel() -> None:
    """Each channel has its own scale; the zero point comes after it, the clamp last."""
    acc = np.array([[100, 100, 100], [-1000, 1000, 1]], np.int32)
    scales = [FixedScale(2**30, 1), FixedScale(2**30, 0), FixedScale(0, 0)]
    assert requantize(acc, scales, -10, -128, 100).tolist() == [[90, 40, -10], [-128, 100, -10]]


@pytest.mark.parametrize(
    ("x", "expected"), [(0.5, 1), (-0.5, -1), (2.5, 3), (0.49999999999999994, 0), (-1.2, -1), (2**40 + 0.5, 2**40 + 1)]
)
def test_halves_go_away_from_zero(x: float, expected: int) -> None:
    """Rounding is C's, not Python's, and exact next to a half."""
    assert round_half_away(x) == expected


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation.NONE, Clamp(-128, 127)),
        (Activation.RELU, Clamp(-100, 127)),
        (Activation.RELU6, Clamp(-100, -40)),
        (Activation.RELU_N1_TO_1, Clamp(-110, -90)),
    ],
)
def test_a_fused_activation_is_a_clamp(activation: Activation, expected: Clamp) -> None:
    """0, 6, -1 and 1 as counts of the output, within int8."""
    assert activation_clamp(activation, 0.1, -100) == expected


def test_a_scale_near_zero_has_no_count_for_six() -> None:
    """What does not fit int32 is refused, as TFLM refuses it."""
    with pytest.raises(ModelError, match="cannot express"):
        count_of(6.0, 1e-10, 0)


def test_quantize_undoes_dequantize() -> None:
    """Every int8 count survives the way to a real number and back, and what lies beyond is saturated."""
    q = np.arange(-128, 128, dtype=np.int8)
    assert quantize(dequantize(q, 0.037, 5), 0.037, 5).tolist() == q.tolist()
    assert quantize(np.array([1e9, -1e9], np.float32), 0.037, 5).tolist() == [127, -128]
