/* MUL along one dimension: what ec_mul_s8 and ec_mul_broadcast_s8 share. */
#ifndef EC_MUL_ROW_H
#define EC_MUL_ROW_H

#include "ec_elementwise.h"
#include "ec_requantize.h"

/* An ec_row_s8 of ec_mul_params. */
static inline void ec_mul_row(const void *params, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int32_t count,
                              int8_t *out)
{
    const ec_mul_params p = *(const ec_mul_params *)params;
    for (int32_t i = 0; i < count; i++) {
        /* |product| <= 255 * 255 */
        const int32_t product = (*a - p.a_zero_point) * (*b - p.b_zero_point);
        out[i] = ec_requantize(product, p.scale, p.out_zero_point, p.out_min, p.out_max);
        a += a_step;
        b += b_step;
    }
}

#endif
