/* MEAN and SUM, int8, portable C.
 * This plain loop defines what is correct. */
#include "ec_pool.h"
#include "ec_requantize.h"

static inline int32_t sum_of(const ec_mean_params *p, const int8_t *in)
{
    const int32_t *n = p->sum_extents, *stride = p->sum_strides;
    int32_t sum = 0;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++) {
            const int8_t *at = in + i * stride[0] + j * stride[1];
            for (int32_t k = 0; k < n[2]; k++, at += stride[2])
                sum += *at;
        }
    return sum;
}

void ec_mean_s8(const ec_mean_params *p, const int8_t *in, int8_t *out)
{
    const int32_t *n = p->kept_extents, *stride = p->kept_strides;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++) {
                const int32_t sum = sum_of(p, in + i * stride[0] + j * stride[1] + k * stride[2]);
                *out++ = ec_requantize(sum - p->in_zero_sum, p->scale, p->out_zero_point, INT8_MIN, INT8_MAX);
            }
}
