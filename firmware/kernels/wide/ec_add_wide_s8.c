/* ADD and SUB of tensors of one shape, int8, for application processors: eight elements at once. */
#include "ec_add_row.h"
#include "ec_wide.h"
#include "ec_wide_eight.h"

#if EC_WIDE_X86

/* ec_multiply_high_word of eight. */
EC_AVX2 EC_WIDE_INLINE __m256i scale_eight(__m256i x, ec_scale scale)
{
    __m256i high = ec_mul_high_eight(x, _mm256_set1_epi32(scale.multiplier));
    high = _mm256_add_epi32(high, _mm256_srai_epi32(high, 31));
    high = _mm256_sra_epi32(high, _mm_cvtsi32_si128(-1 - scale.shift));
    return _mm256_srai_epi32(_mm256_add_epi32(high, _mm256_set1_epi32(1)), 1);
}

EC_AVX2 EC_WIDE_INLINE __m256i weigh_eight(const int8_t *x, int32_t weight, int32_t offset)
{
    const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)x));
    return _mm256_add_epi32(_mm256_mullo_epi32(wide, _mm256_set1_epi32(weight)), _mm256_set1_epi32(offset));
}

EC_AVX2 static int32_t add_eights(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    int32_t i = 0;
    for (; i + EC_EIGHT <= count; i += EC_EIGHT) {
        const __m256i term = scale_eight(weigh_eight(b + i, p->b_weight, p->b_offset), p->b_scale);
        const __m256i signed_term = _mm256_mullo_epi32(term, _mm256_set1_epi32(p->b_sign));
        const __m256i sum = scale_eight(_mm256_add_epi32(weigh_eight(a + i, p->a_weight, p->a_offset), signed_term), p->out_scale);
        ec_store_eight(_mm256_add_epi32(sum, _mm256_set1_epi32(p->out_zero_point)), p->out_min, p->out_max, EC_EIGHT, out + i);
    }
    return i;
}

#elif EC_WIDE_ARM

/* ec_multiply_high_word of four. */
EC_WIDE_INLINE int32x4_t scale_four(int32x4_t x, ec_scale scale)
{
    const int32x2_t multiplier = vdup_n_s32(scale.multiplier);
    int32x4_t high = vcombine_s32(vrshrn_n_s64(vmull_s32(vget_low_s32(x), multiplier), 32),
                                  vrshrn_n_s64(vmull_s32(vget_high_s32(x), multiplier), 32));
    high = vaddq_s32(high, vshrq_n_s32(high, 31));
    return vrshlq_s32(high, vdupq_n_s32(scale.shift));
}

EC_WIDE_INLINE int32x4_t add_four(const ec_add_params *p, int16x4_t a, int16x4_t b)
{
    const int32x4_t weighed = vmlaq_n_s32(vdupq_n_s32(p->b_offset), vmovl_s16(b), p->b_weight);
    const int32x4_t sum = vmlaq_n_s32(vdupq_n_s32(p->a_offset), vmovl_s16(a), p->a_weight);
    const int32x4_t scaled = scale_four(vmlaq_n_s32(sum, scale_four(weighed, p->b_scale), p->b_sign), p->out_scale);
    return vaddq_s32(scaled, vdupq_n_s32(p->out_zero_point));
}

static int32_t add_eights(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    int32_t i = 0;
    for (; i + EC_EIGHT <= count; i += EC_EIGHT) {
        const int16x8_t wide_a = vmovl_s8(vld1_s8(a + i)), wide_b = vmovl_s8(vld1_s8(b + i));
        ec_store_eight(add_four(p, vget_low_s16(wide_a), vget_low_s16(wide_b)), add_four(p, vget_high_s16(wide_a), vget_high_s16(wide_b)),
                       p->out_min, p->out_max, EC_EIGHT, out + i);
    }
    return i;
}

#endif

void ec_add_wide_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    int32_t done = 0;
#if EC_WIDE_X86 || EC_WIDE_ARM
    if (ec_wide_level() != EC_WIDE_PLAIN)
        done = add_eights(p, a, b, count, out);
#endif
    ec_add_row(p, a + done, 1, b + done, 1, count - done, out + done);
}
