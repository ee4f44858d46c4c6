/* ADD and SUB of int16 without broadcasting, for the DSP extension: a product by SMMULR and no call an element. */
#include "ec_dsp_dot_s16.h"

/* x * multiplier / 2^31 and a shift, both rounded as ec_multiply_by_scale does; `twice` is 2 * x. */
static inline int32_t scaled(int32_t twice, int32_t multiplier, int32_t shift_before_last)
{
    int32_t t = ec_smmulr(twice, multiplier);
    t += t >> 31;
    return ((t >> shift_before_last) + 1) >> 1;
}

void ec_add_dsp_s16(const ec_add_dsp_s16_params *p, const int16_t *a, const int16_t *b, int32_t count, int16_t *out)
{
    const ec_add_dsp_s16_params q = *p;
    if (q.b_multiplier == 0)
        for (int32_t i = 0; i < count; i++)
            out[i] = (int16_t)ec_clamp(
                    scaled(2 * (a[i] * q.a_factor + b[i] * q.b_factor), q.out_multiplier, q.out_shift_before_last), q.out_min, q.out_max);
    else
        for (int32_t i = 0; i < count; i++) {
            const int32_t term = scaled((int32_t)((uint32_t)(int32_t)b[i] << 16), q.b_multiplier, q.b_shift_before_last);
            out[i] = (int16_t)ec_clamp(
                    scaled(2 * (a[i] * q.a_factor + term * q.b_factor), q.out_multiplier, q.out_shift_before_last), q.out_min, q.out_max);
        }
}
