/* MUL, int16, portable C.
 * This plain loop defines what is correct. */
#include "ec_broadcast.h"
#include "ec_sums_s16.h"

static void mul_row(const void *params, const int16_t *a, int32_t a_step, const int16_t *b, int32_t b_step, int32_t count, int16_t *out)
{
    const ec_mul_params p = *(const ec_mul_params *)params;
    for (int32_t i = 0; i < count; i++, a += a_step, b += b_step)
        out[i] = ec_requantize_s16(*a * *b, p.scale, p.out_min, p.out_max); /* |product| <= 2^30 */
}

void ec_mul_s16(const ec_mul_params *p, const ec_broadcast *shape, const int16_t *a, const int16_t *b, int16_t *out)
{
    ec_for_each_row_s16(shape, p, mul_row, a, b, out);
}
