/* MEAN and SUM, int16, portable C.
 * This plain loop defines what is correct. */
#include "ec_pool.h"
#include "ec_sums_s16.h"

static int32_t sum_of(const ec_mean_params *p, const int16_t *in)
{
    const int32_t *n = p->sum_extents, *stride = p->sum_strides;
    int32_t sum = 0;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++) {
            const int16_t *at = in + i * stride[0] + j * stride[1];
            for (int32_t k = 0; k < n[2]; k++)
                sum += at[k * stride[2]];
        }
    return sum;
}

void ec_mean_s16(const ec_mean_params *p, const int16_t *in, int16_t *out)
{
    const int32_t *n = p->kept_extents, *stride = p->kept_strides;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++)
                *out++ = ec_requantize_s16(sum_of(p, in + i * stride[0] + j * stride[1] + k * stride[2]), p->scale, INT16_MIN, INT16_MAX);
}
