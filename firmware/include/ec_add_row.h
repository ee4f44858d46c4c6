/* ADD and SUB along one dimension: what ec_add_s8 and ec_add_broadcast_s8 share. */
#ifndef EC_ADD_ROW_H
#define EC_ADD_ROW_H

#include "ec_elementwise.h"
#include "ec_requantize.h"

/* x * multiplier * 2^(shift - 32): one bit less than ec_multiply_by_scale, so that the first rounding is of the high word, one
 * instruction (SMMULR) on cores with DSP. shift in [-31, -1]. */
static inline int32_t ec_multiply_high_word(int32_t x, ec_scale scale)
{
    const int32_t high = (int32_t)(((int64_t)x * scale.multiplier + 0x80000000LL) >> 32);
    return ec_shift_right_rounded(high, -scale.shift);
}

/* An ec_row_s8 of ec_add_params. */
static inline void ec_add_row(const void *params, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int32_t count,
                              int8_t *out)
{
    const ec_add_params p = *(const ec_add_params *)params;
    for (int32_t i = 0; i < count; i++) {
        const int32_t term = ec_multiply_high_word(*b * p.b_weight + p.b_offset, p.b_scale);
        const int32_t sum = *a * p.a_weight + p.a_offset + p.b_sign * term;
        out[i] = (int8_t)ec_clamp(ec_multiply_high_word(sum, p.out_scale) + p.out_zero_point, p.out_min, p.out_max);
        a += a_step;
        b += b_step;
    }
}

#endif
