#include "decimal.h"

#include "divide.h"

/* A finite number: mantissa * 2^exponent. */
typedef struct {
    uint64_t mantissa;
    int exponent;
} binary;

static const uint32_t SIGN = 1u << 31;

static bool is_finite(uint32_t bits)
{
    return (bits >> 23 & 255u) != 255u;
}

static binary magnitude(uint32_t bits)
{
    const int exponent = (int)(bits >> 23 & 255u);
    const uint32_t fraction = bits & ((1u << 23) - 1);
    return exponent ? (binary){fraction | 1u << 23, exponent - 150} : (binary){fraction, -149};
}

/* value / 2^shift, halves to even. 0 <= shift. */
static uint64_t shift_right_even(uint64_t value, int shift)
{
    if (shift == 0) {
        return value;
    }
    if (shift > 63) {
        return 0;
    }
    const uint64_t result = value >> shift;
    const uint64_t rest = value - (result << shift);
    const uint64_t half = UINT64_C(1) << (shift - 1);
    return result + (rest > half || (rest == half && (result & 1)));
}

/* The nearest number with a mantissa of 24 bits: what float arithmetic keeps. */
static binary round_to_float(binary number)
{
    int shift = 0;
    while (number.mantissa >> shift >= UINT64_C(1) << 24) {
        shift++;
    }
    return (binary){shift_right_even(number.mantissa, shift), number.exponent + shift};
}

/* mantissa < 2^25, so thousandths of it fit 35 bits, and 28 places to the left are safe. */
static uint64_t thousandths(binary number)
{
    const uint64_t scaled = number.mantissa * 1000;
    if (number.exponent > 28) {
        return number.mantissa ? UINT64_MAX : 0;
    }
    return number.exponent >= 0 ? scaled << number.exponent : shift_right_even(scaled, -number.exponent);
}

decimal ec_decimal_of_float(uint32_t bits)
{
    return (decimal){(bits & SIGN) != 0, is_finite(bits) ? thousandths(magnitude(bits)) : UINT64_MAX};
}

decimal ec_decimal_dequantize(int64_t q_minus_zero_point, uint32_t scale_bits)
{
    const bool negative = q_minus_zero_point < 0;
    const uint64_t distance = (uint64_t)(negative ? -q_minus_zero_point : q_minus_zero_point);
    const binary q = round_to_float((binary){distance, 0});
    const binary scale = magnitude(scale_bits);
    const binary product = {q.mantissa * scale.mantissa, q.exponent + scale.exponent}; /* at most 2^49 */
    return (decimal){negative, thousandths(round_to_float(product))};
}

int8_t ec_decimal_quantize(uint32_t value_bits, uint32_t scale_bits, int32_t zero_point)
{
    binary value = magnitude(value_bits);
    binary scale = magnitude(scale_bits);
    uint64_t steps = 0; /* |value / scale|, rounded */
    if (!is_finite(value_bits)) {
        steps = (value_bits << 9) ? 0 : 1024;
    } else if (value.mantissa && scale.mantissa) {
        while (scale.mantissa < 1u << 23) { /* a subnormal scale */
            scale = (binary){scale.mantissa << 1, scale.exponent - 1};
        }
        while (value.mantissa < 1u << 23) {
            value = (binary){value.mantissa << 1, value.exponent - 1};
        }
        uint32_t remainder;
        uint64_t quotient = ec_divide(value.mantissa << 27, (uint32_t)scale.mantissa, &remainder); /* 27 or 28 bits */
        quotient |= remainder != 0; /* sticky: the three lowest bits only decide the rounding */
        const binary ratio = round_to_float((binary){quotient, value.exponent - scale.exponent - 27});
        if (ratio.exponent > -14) {
            steps = 1024; /* at least 2^9: out of range */
        } else if (ratio.exponent >= -25) {
            steps = (ratio.mantissa + (UINT64_C(1) << (-ratio.exponent - 1))) >> -ratio.exponent;
        }
    }
    if (steps > 1024) {
        steps = 1024;
    }
    const int32_t q = ((value_bits & SIGN) ? -(int32_t)steps : (int32_t)steps) + zero_point;
    return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
}

int64_t ec_decimal_fixed24(int32_t q, uint32_t scale_bits)
{
    const binary scale = magnitude(scale_bits);
    const uint64_t product = (uint64_t)(q < 0 ? -q : q) * scale.mantissa; /* below 2^33 */
    const int shift = scale.exponent + 24;
    uint64_t fixed;
    if (shift > 29) {
        fixed = product ? UINT64_C(1) << 62 : 0;
    } else if (shift >= 0) {
        fixed = product << shift;
    } else {
        fixed = shift > -64 ? product >> -shift : 0;
    }
    return q < 0 ? -(int64_t)fixed : (int64_t)fixed;
}
