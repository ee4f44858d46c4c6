/* SOFTMAX, from int8 to int16, portable C. */
#include "ec_softmax.h"

void ec_softmax_s8_s16(const ec_softmax_params *p, const int8_t *in, int16_t *out)
{
    for (int32_t row = 0; row < p->rows; row++) {
        const int32_t max = ec_row_max(in, p->depth);
        const ec_reciprocal reciprocal = ec_reciprocal_of(ec_row_sum(p, in, max));
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t count = ec_softmax_share(p, max - in[i], reciprocal, 16) + INT16_MIN;
            out[i] = (int16_t)(count > INT16_MAX ? INT16_MAX : count);
        }
        in += p->depth;
        out += p->depth;
    }
}
