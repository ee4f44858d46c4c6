/* ADD and SUB of tensors of one shape, int8, for MVE: four elements at once.
 *
 * The arithmetic is that of ec_add_row with all weights halved: VQRDMULH doubles the product, and halves of these powers of two are exact. */
#include "ec_add_row.h"
#include "ec_mve.h"
#include "ec_mve_sums.h"

#if EC_MVE_VECTORS

/* x * multiplier * 2^(shift - 31), halves away from zero at the second rounding if `exact`, else up. */
static inline __attribute__((always_inline)) int32x4_t scaled(int32x4_t x, ec_scale scale, bool exact)
{
    x = vqrdmulhq_n_s32(x, scale.multiplier);
    if (exact)
        x = vaddq_s32(x, vshrq_n_s32(x, 31));
    return vrshlq_n_s32(x, scale.shift);
}

static inline __attribute__((always_inline)) void add(
        const ec_add_params *params, const int8_t *a, const int8_t *b, int32_t count, int8_t *out, bool exact)
{
    const ec_add_params p = *params;
    const int32x4_t a_weight = vdupq_n_s32(p.a_weight / 2), b_weight = vdupq_n_s32(p.b_weight / 2);
    const int32x4_t low = vdupq_n_s32(p.out_min), high = vdupq_n_s32(p.out_max);
    for (; count > 0; count -= 4, a += 4, b += 4, out += 4) {
        const mve_pred16_t some = vctp32q((uint32_t)count);
        const int32x4_t term = scaled(vmlasq_n_s32(vldrbq_z_s32(b, some), b_weight, p.b_offset / 2), p.b_scale, true);
        const int32x4_t first = vmlasq_n_s32(vldrbq_z_s32(a, some), a_weight, p.a_offset / 2);
        const int32x4_t sum = scaled(vmlaq_n_s32(first, term, p.b_sign / 2), p.out_scale, exact);
        vstrbq_p_s32(out, vminq_s32(vmaxq_s32(vaddq_n_s32(sum, p.out_zero_point), low), high), some);
    }
}

void ec_add_mve_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    /* What is negative before the last rounding is clamped to out_min, whichever way it is rounded. */
    if (p->out_min >= p->out_zero_point)
        add(p, a, b, count, out, false);
    else
        add(p, a, b, count, out, true);
}

#else

void ec_add_mve_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    ec_add_row(p, a, 1, b, 1, count, out);
}

#endif
