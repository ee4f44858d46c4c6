/* MEAN and SUM, int8, for MVE, where what is kept last lies side by side: four sums at once. */
#include "ec_mve.h"
#include "ec_mve_sums.h"
#include "ec_requantize.h"

#if EC_MVE_VECTORS

static inline int32x4_t sum_four(const ec_mean_params *p, const int8_t *in, mve_pred16_t some)
{
    const int32_t *n = p->sum_extents, *stride = p->sum_strides;
    int32x4_t sums = vdupq_n_s32(-p->in_zero_sum);
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++) {
            const int8_t *at = in + i * stride[0] + j * stride[1];
            EC_ROLLED
            for (int32_t k = n[2]; k != 0; k--, at += stride[2])
                sums = vaddq_s32(sums, vldrbq_z_s32(at, some));
        }
    return sums;
}

/* The sums of the last kept dimension. */
static void sum_row(const ec_mean_params *p, const int8_t *in, int8_t *out)
{
    EC_ROLLED
    for (int32_t left = p->kept_extents[2]; left > 0; left -= 4, in += 4, out += 4) {
        const mve_pred16_t some = vctp32q((uint32_t)left);
        int32x4_t x = vqrdmulhq_n_s32(sum_four(p, in, some), p->scale.multiplier);
        x = vrshlq_n_s32(vaddq_s32(x, vshrq_n_s32(x, 31)), p->scale.shift);
        x = vaddq_n_s32(x, p->out_zero_point);
        vstrbq_p_s32(out, vminq_s32(vmaxq_s32(x, vdupq_n_s32(INT8_MIN)), vdupq_n_s32(INT8_MAX)), some);
    }
}

#else

static void sum_row(const ec_mean_params *p, const int8_t *in, int8_t *out)
{
    const int32_t *n = p->sum_extents, *stride = p->sum_strides;
    for (int32_t channel = 0; channel < p->kept_extents[2]; channel++) {
        int32_t sum = -p->in_zero_sum;
        for (int32_t i = 0; i < n[0]; i++)
            for (int32_t j = 0; j < n[1]; j++)
                for (int32_t k = 0; k < n[2]; k++)
                    sum += in[i * stride[0] + j * stride[1] + k * stride[2] + channel];
        out[channel] = ec_requantize(sum, p->scale, p->out_zero_point, INT8_MIN, INT8_MAX);
    }
}

#endif

void ec_mean_mve_s8(const ec_mean_params *p, const int8_t *in, int8_t *out)
{
    const int32_t *n = p->kept_extents, *stride = p->kept_strides;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++, out += n[2])
            sum_row(p, in + i * stride[0] + j * stride[1], out);
}
