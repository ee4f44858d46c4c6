/* Sums of products of int16 by int8, and the way back to int16: what the `_s16` layers with weights share. The numpy twins are
 * requantize_int64 and requantize_int16 in edgecompress/numerics/fixedpoint.py. */
#ifndef EC_SUMS_S16_H
#define EC_SUMS_S16_H

#include "ec_requantize.h"
#include "ec_types.h"

/* |weight * in| <= 2^22: so many products stay within int32, and are added up there. */
#define EC_PART_S16 511

/* sum w * in over n contiguous elements. */
EC_OUT_OF_LINE int64_t ec_dot_s16(const int16_t *in, const int8_t *w, int32_t n)
{
    int64_t acc = 0;
    while (n > 0) {
        const int32_t part = n < EC_PART_S16 ? n : EC_PART_S16;
        int32_t sum = 0;
        EC_ROLLED
        for (int32_t i = 0; i < part; i++)
            sum += w[i] * in[i];
        acc += sum;
        in += part;
        w += part;
        n -= part;
    }
    return acc;
}

/* acc[f] += the same for four filters f that lie `stride` elements apart: one load of the input serves four products. */
EC_OUT_OF_LINE void ec_dot4_s16(const int16_t *in, const int8_t *w, int32_t n, int32_t stride, int64_t acc[4])
{
    while (n > 0) {
        const int32_t part = n < EC_PART_S16 ? n : EC_PART_S16;
        const int8_t *w1 = w + stride, *w2 = w1 + stride, *w3 = w2 + stride;
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
        EC_ROLLED
        for (int32_t i = 0; i < part; i++) {
            const int32_t x = in[i];
            sum0 += w[i] * x;
            sum1 += w1[i] * x;
            sum2 += w2[i] * x;
            sum3 += w3[i] * x;
        }
        acc[0] += sum0;
        acc[1] += sum1;
        acc[2] += sum2;
        acc[3] += sum3;
        in += part;
        w += part;
        n -= part;
    }
}

/* acc * scale with a multiplier of 15 bits: one rounding, half up, of which the low 32 bits count. |acc| < 2^47, shift in [-31, 7]. */
static inline int16_t ec_requantize_s64(int64_t acc, ec_scale scale, int32_t low, int32_t high)
{
    const int32_t multiplier = scale.multiplier < 0x7fff0000 ? (scale.multiplier + (1 << 15)) >> 16 : 0x7fff;
    const int32_t down = 15 - scale.shift;
    const int64_t scaled = (acc * multiplier + ((int64_t)1 << (down - 1))) >> down;
    return (int16_t)ec_clamp((int32_t)(uint32_t)((uint64_t)scaled & 0xffffffffu), low, high);
}

static inline int16_t ec_requantize_s16(int32_t acc, ec_scale scale, int32_t low, int32_t high)
{
    return (int16_t)ec_clamp(ec_multiply_by_scale(acc, scale.multiplier, scale.shift), low, high);
}

/* The count of output o of a layer: its sum, with the bias that there is, scaled. With a bias of 32 bits the sum wraps around, as TFLM's
 * does. */
static inline int16_t ec_finish_s16(
        int64_t acc, const int64_t *bias, const int32_t *narrow_bias, int32_t o, ec_scale scale, int32_t low, int32_t high)
{
    if (narrow_bias)
        return ec_requantize_s16((int32_t)((uint32_t)((uint64_t)acc & 0xffffffffu) + (uint32_t)narrow_bias[o]), scale, low, high);
    return ec_requantize_s64(bias ? acc + bias[o] : acc, scale, low, high);
}

#endif
