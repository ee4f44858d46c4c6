/* MUL of tensors of one shape, int8, for MVE: four elements at once. */
#include "ec_mul_row.h"
#include "ec_mve.h"
#include "ec_mve_sums.h"

#if EC_MVE_VECTORS

void ec_mul_mve_s8(const ec_mul_params *params, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    const ec_mul_params p = *params;
    const int32x4_t low = vdupq_n_s32(p.out_min), high = vdupq_n_s32(p.out_max);
    for (; count > 0; count -= 4, a += 4, b += 4, out += 4) {
        const mve_pred16_t some = vctp32q((uint32_t)count);
        const int32x4_t first = vsubq_n_s32(vldrbq_z_s32(a, some), p.a_zero_point);
        const int32x4_t second = vsubq_n_s32(vldrbq_z_s32(b, some), p.b_zero_point);
        int32x4_t x = vqrdmulhq_n_s32(vmulq_s32(first, second), p.scale.multiplier);
        x = vrshlq_n_s32(vaddq_s32(x, vshrq_n_s32(x, 31)), p.scale.shift);
        x = vaddq_n_s32(x, p.out_zero_point);
        vstrbq_p_s32(out, vminq_s32(vmaxq_s32(x, low), high), some);
    }
}

#else

void ec_mul_mve_s8(const ec_mul_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    ec_mul_row(p, a, 1, b, 1, count, out);
}

#endif
