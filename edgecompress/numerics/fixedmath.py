"""exp, 1/(1+x), logistic and tanh in integers, on whole arrays.

A fixed-point number in Q(i) is an int32 `raw` that stands for `raw * 2**(i - 31)`: i integer bits, 31 - i bits behind the point. The
functions give the bits of gemmlowp's fixedpoint.h (exp_on_negative_values, one_over_one_plus_x_for_x_in_0_1, logistic, tanh), on which
TFLM's softmax, logistic and tanh stand. All arrays are int64 holding int32 values, so that no product overflows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Raw = NDArray[np.int64]

INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)

ONE_Q0 = INT32_MAX  # 1.0 is not representable in Q0; gemmlowp takes the number below it
_ONE_Q2 = 1 << 29

# exp(-2**k) in Q0 for k = -2 .. 4: the factors of the barrel shifter.
_EXP_FACTORS = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))
_EXP_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883
# 48/17 and -32/17 in Q2: the first guess of Newton's division.
_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540


def multiply(a: Raw | int, b: Raw | int) -> Raw:
    """The product of a number in Q(i) and one in Q(j), in Q(i + j): `a * b / 2**31`, half up, saturated."""
    product = np.asarray(a, dtype=np.int64) * np.asarray(b, dtype=np.int64)
    result: Raw = np.minimum((product + (1 << 30)) >> 31, INT32_MAX)
    return result


def shift_right(x: Raw, exponent: int) -> Raw:
    """`x / 2**exponent`, halves away from zero; exponent >= 0."""
    if exponent == 0:
        return x
    return (x + (1 << (exponent - 1)) - (x < 0)) >> exponent


def shift_left(x: Raw, exponent: int) -> Raw:
    """`x * 2**exponent`, saturated to int32."""
    result: Raw = np.clip(x << exponent, INT32_MIN, INT32_MAX)
    return result


def _half_sum_with_one(a: Raw) -> Raw:
    """(a + 1) / 2 in Q0, halves away from zero; a in [0, 1]."""
    return (a + ONE_Q0 + 1) >> 1


def _exp_between_minus_quarter_and_zero(a: Raw) -> Raw:
    """exp(a) in Q0 for a in [-1/4, 0) in Q0: a Taylor polynomial around -1/8."""
    x = a + (1 << 28)
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4_over_4 = shift_right(multiply(x2, x2), 2)
    tail = shift_right(multiply(x4_over_4 + x3, _ONE_THIRD) + x2, 1)
    return multiply(_EXP_MINUS_EIGHTH, x + tail) + _EXP_MINUS_EIGHTH


def exp_of_negative(a: Raw, integer_bits: int) -> Raw:
    """exp(a) in Q0 for a <= 0 in Q(integer_bits), integer_bits in [3, 5]."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    within = (a & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_zero(shift_left(within, integer_bits))
    remainder = within - a
    for exponent, factor in _EXP_FACTORS:
        if exponent < integer_bits:
            bit = (remainder >> (fraction_bits + exponent)) & 1
            result = np.where(bit == 1, multiply(result, factor), result)
    return np.where(a == 0, ONE_Q0, result)


def _reciprocal_of_half(half: Raw) -> Raw:
    """1 / half in Q2 for half in [1/2, 1] in Q0: three Newton steps."""
    x = _48_OVER_17 + multiply(half, _MINUS_32_OVER_17)
    for _ in range(3):
        x = x + shift_left(multiply(x, _ONE_Q2 - multiply(half, x)), 2)
    return x


def one_over_one_plus(a: Raw) -> Raw:
    """1 / (1 + a) in Q0 for a in [0, 1] in Q0."""
    return shift_left(_reciprocal_of_half(_half_sum_with_one(a)), 1)


def _one_minus_over_one_plus(a: Raw) -> Raw:
    """(1 - a) / (1 + a) in Q0 for a in [0, 1] in Q0."""
    return shift_left(_reciprocal_of_half(_half_sum_with_one(a)) - _ONE_Q2, 2)


def logistic(a: Raw, integer_bits: int) -> Raw:
    """1 / (1 + exp(-a)) in Q0 for a in Q(integer_bits)."""
    positive = one_over_one_plus(exp_of_negative(-np.abs(a), integer_bits))
    return np.where(a == 0, 1 << 30, np.where(a > 0, positive, ONE_Q0 - positive))


def tanh(a: Raw, integer_bits: int) -> Raw:
    """tanh(a) in Q0 for a in Q(integer_bits), integer_bits <= 4."""
    # tanh(|a|) = (1 - exp(-2|a|)) / (1 + exp(-2|a|)); the same bits with one more integer bit are twice the number.
    size = _one_minus_over_one_plus(exp_of_negative(-np.abs(a), integer_bits + 1))
    return np.where(a == 0, 0, np.where(a < 0, -size, size))
