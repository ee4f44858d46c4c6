/* ADD and SUB, int16, portable C.
 * This plain loop defines what is correct. */
#include "ec_broadcast.h"
#include "ec_sums_s16.h"

static int32_t on_half_scale(int32_t count, ec_scale scale)
{
    return ec_multiply_by_scale(count * (1 << 15), scale.multiplier, scale.shift);
}

static void add_row(const void *params, const int16_t *a, int32_t a_step, const int16_t *b, int32_t b_step, int32_t count, int16_t *out)
{
    const ec_add_s16_params p = *(const ec_add_s16_params *)params;
    for (int32_t i = 0; i < count; i++, a += a_step, b += b_step) {
        const int32_t sum = on_half_scale(*a, p.a_scale) + p.b_sign * on_half_scale(*b, p.b_scale);
        out[i] = ec_requantize_s16(sum, p.out_scale, p.out_min, p.out_max);
    }
}

void ec_add_s16(const ec_add_s16_params *p, const ec_broadcast *shape, const int16_t *a, const int16_t *b, int16_t *out)
{
    ec_for_each_row_s16(shape, p, add_row, a, b, out);
}
