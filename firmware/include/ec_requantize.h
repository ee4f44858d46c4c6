/* From int32 accumulators back to int8. The numpy twin is edgecompress/numerics/fixedpoint.py.
 *
 *   high = (acc * 2^max(shift, 0) * multiplier + 2^30) >> 31      half up
 *   out  = high / 2^max(-shift, 0)                                half away from zero
 *
 * Two roundings, as gemmlowp has them: this makes the bytes those of TensorFlow Lite Micro. Right shifts of negative numbers are
 * arithmetic on every compiler that we build with; left shifts go through uint32_t, where they wrap. */
#ifndef EC_REQUANTIZE_H
#define EC_REQUANTIZE_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* a * multiplier / 2^31, half up. Not for a = multiplier = INT32_MIN. */
static inline int32_t ec_high_mul(int32_t a, int32_t multiplier)
{
    return (int32_t)(((int64_t)a * multiplier + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^exponent, halves away from zero. exponent in [1, 31]; x in (INT32_MIN, INT32_MAX): what ec_high_mul gives for
 * |multiplier| < 2^31. Adding the half before the shift could overflow, so the last bit is rounded after it. */
static inline int32_t ec_shift_right_rounded(int32_t x, int32_t exponent)
{
    x += x >> 31;
    return ((x >> (exponent - 1)) + 1) >> 1;
}

/* acc * multiplier * 2^(shift - 31), with both roundings. shift in [-31, 30]. */
static inline int32_t ec_multiply_by_scale(int32_t acc, int32_t multiplier, int32_t shift)
{
    if (shift >= 0)
        return ec_high_mul((int32_t)((uint32_t)acc << shift), multiplier);
    return ec_shift_right_rounded(ec_high_mul(acc, multiplier), -shift);
}

static inline int32_t ec_clamp(int32_t x, int32_t low, int32_t high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* The int8 count of an accumulator: scaled, moved to zero_point, clamped to [low, high] (within [-128, 127]). */
static inline int8_t ec_requantize(int32_t acc, ec_scale scale, int32_t zero_point, int32_t low, int32_t high)
{
    const int32_t scaled = ec_multiply_by_scale(acc, scale.multiplier, scale.shift);
    return (int8_t)ec_clamp((int32_t)((uint32_t)scaled + (uint32_t)zero_point), low, high);
}

/* What every output of a layer has in common. */
typedef struct {
    int32_t zero_point;
    int32_t low, high;    /* clamp of the fused activation, within [-128, 127] */
} ec_output;

/* out[i] = acc[i] + bias[i], requantized with scales[i * scale_stride], for i < n. bias may be NULL. The sum wraps around, as TFLM's does: a
 * file may hold biases near the ends of int32. */
static inline void ec_requantize_all(
        const int32_t *acc, const int32_t *bias, const ec_scale *scales, int32_t scale_stride, ec_output output, int32_t n, int8_t *out)
{
    EC_ROLLED
    for (int32_t i = 0; i < n; i++, scales += scale_stride) {
        const int32_t sum = bias ? (int32_t)((uint32_t)acc[i] + (uint32_t)bias[i]) : acc[i];
        out[i] = ec_requantize(sum, *scales, output.zero_point, output.low, output.high);
    }
}

#ifdef __cplusplus
}
#endif
#endif
