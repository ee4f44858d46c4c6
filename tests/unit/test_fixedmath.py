"""Integer exp, logistic, tanh and reciprocal against the real functions."""

from __future__ import annotations

import math

import numpy as np

from edgecompress.numerics import fixedmath

_ONE = 2.0**31


def _q(values: list[float], integer_bits: int) -> fixedmath.Raw:
    return np.array([round(v * 2.0 ** (31 - integer_bits)) for v in values], np.int64)


def test_multiply_rounds_halves_up() -> None:
    """0.5 of an odd number rounds up on both sides of 0; -1 * -1 saturates."""
    assert fixedmath.multiply(np.array([3, -3]), 1 << 30).tolist() == [2, -1]
    assert fixedmath.multiply(np.array([-(2**31)]), -(2**31)).tolist() == [2**31 - 1]


def test_shift_right_rounds_halves_away_from_zero() -> None:
    """5/2 is 3 and -5/2 is -3; a shift by 0 changes nothing."""
    assert fixedmath.shift_right(np.array([5, -5, 4]), 1).tolist() == [3, -3, 2]
    assert fixedmath.shift_right(np.array([-1]), 0).tolist() == [-1]


def test_exp_is_exp() -> None:
    """exp of a few numbers in Q5 is within 2**-21 (the polynomial ends there); exp(0) is the largest Q0 number."""
    inputs = [0.0, -0.1, -0.25, -1.0, -3.7, -15.9]
    result = fixedmath.exp_of_negative(_q(inputs, 5), 5)
    assert result[0] == 2**31 - 1
    assert np.allclose(result / _ONE, [math.exp(v) for v in inputs], rtol=0, atol=2.0**-21)


def test_reciprocal_is_reciprocal() -> None:
    """1 / (1 + a) is within 2**-27 over [0, 1)."""
    inputs = [0.0, 0.25, 0.5, 0.999]
    assert np.allclose(fixedmath.one_over_one_plus(_q(inputs, 0)) / _ONE, [1 / (1 + v) for v in inputs], rtol=0, atol=2.0**-27)


def test_logistic_is_logistic() -> None:
    """Both sides of 0 are within 2**-21, 0 is exactly one half, and the sides add up to 1."""
    inputs = [0.0, 0.5, -0.5, 6.0, -6.0, -15.0]
    result = fixedmath.logistic(_q(inputs, 4), 4)
    assert result[0] == 1 << 30
    assert result[1] + result[2] == fixedmath.ONE_Q0
    assert np.allclose(result / _ONE, [1 / (1 + math.exp(-v)) for v in inputs], rtol=0, atol=2.0**-21)


def test_tanh_is_tanh() -> None:
    """Both sides of 0 are within 2**-21, and odd."""
    inputs = [0.0, 0.5, -0.5, 3.0, -3.0, 15.0]
    result = fixedmath.tanh(_q(inputs, 4), 4)
    assert result[0] == 0
    assert result[1] == -result[2]
    assert np.allclose(result / _ONE, [math.tanh(v) for v in inputs], rtol=0, atol=2.0**-21)
