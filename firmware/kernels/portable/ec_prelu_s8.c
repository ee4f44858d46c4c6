/* PRELU, int8, portable C.
 * This plain loop defines what is correct. */
#include "ec_broadcast.h"
#include "ec_elementwise.h"
#include "ec_requantize.h"

static inline void prelu_row(const void *params, const int8_t *a, int32_t a_step, const int8_t *slope, int32_t slope_step, int32_t count,
                             int8_t *out)
{
    const ec_prelu_params *p = params;
    for (int32_t i = 0; i < count; i++) {
        const int32_t x = *a - p->a_zero_point;
        if (x >= 0)
            out[i] = ec_requantize(x, p->positive, p->out_zero_point, INT8_MIN, INT8_MAX);
        else
            out[i] = ec_requantize(x * (*slope - p->slope_zero_point), p->negative, p->out_zero_point, INT8_MIN, INT8_MAX);
        a += a_step;
        slope += slope_step;
    }
}

void ec_prelu_s8(const ec_prelu_params *p, const ec_broadcast *shape, const int8_t *a, const int8_t *slope, int8_t *out)
{
    ec_for_each_row_s8(shape, p, prelu_row, a, slope, out);
}
