/* MAXIMUM, int8, portable C.
 * This plain loop defines what is correct. */
#include "ec_broadcast.h"
#include "ec_elementwise.h"

static inline void maximum_row(const void *params, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int32_t count, int8_t *out)
{
    (void)params;
    for (int32_t i = 0; i < count; i++) {
        out[i] = *a > *b ? *a : *b;
        a += a_step;
        b += b_step;
    }
}

void ec_maximum_s8(const ec_broadcast *shape, const int8_t *a, const int8_t *b, int8_t *out)
{
    ec_for_each_row_s8(shape, NULL, maximum_row, a, b, out);
}
