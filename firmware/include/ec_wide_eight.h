/* Eight int32 sums to eight int8 outputs, on each level alike: doubled high product, rounded; halves away from zero; clamped.
 *
 *   high = (2 * sum * multiplier + 2^31) >> 32;   high += high >> 31;   out = ((high >> shift) + 2 * zero_point + 1) >> 1 */
#ifndef EC_WIDE_EIGHT_H
#define EC_WIDE_EIGHT_H

#include "ec_requantize.h"
#include "ec_wide_level.h"

#define EC_EIGHT 8
/* int32_t of eight channels: bias, unsigned bias, multiplier, shift. */
#define EC_EIGHT_LEN 32

typedef struct {
    int32_t twice_zero_point;         /* 2 * out_zero_point + 1 */
    int32_t low, high;                /* clamp, within [-128, 127] */
} ec_wide_output;

/* Bytes of a tensor that are read as a word. */
typedef struct {
    uint32_t word;
} __attribute__((packed, may_alias)) ec_wide_word;

EC_WIDE_INLINE uint32_t ec_wide_load(const int8_t *at)
{
    return ((const ec_wide_word *)at)->word;
}

EC_WIDE_INLINE int8_t ec_wide_one(int32_t sum, const int32_t *multiplier, ec_wide_output o)
{
    int32_t high = ec_high_mul(sum, multiplier[0]);
    high += high >> 31;
    return (int8_t)ec_clamp(((high >> multiplier[EC_EIGHT]) + o.twice_zero_point) >> 1, o.low, o.high);
}

/* The first `count` of eight sums; `channels` points to the eight's bias. */
EC_WIDE_INLINE void ec_wide_store_plain(const int32_t *sums, const int32_t *channels, ec_wide_output o, int32_t count, int8_t *out)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = ec_wide_one(sums[i], channels + 2 * EC_EIGHT + i, o);
}

#if EC_WIDE_X86

EC_AVX2 EC_WIDE_INLINE __m256i ec_load_eight(const int32_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

/* Halves of eight products to high words: the even ones in `even`, the odd ones in `odd`. */
EC_AVX2 EC_WIDE_INLINE __m256i ec_high_words(__m256i even, __m256i odd)
{
    const __m256i half = _mm256_set1_epi64x(0x80000000LL);
    return _mm256_blend_epi32(_mm256_srli_epi64(_mm256_add_epi64(even, half), 32), _mm256_add_epi64(odd, half), 0xaa);
}

/* (x * multiplier + 2^31) >> 32 */
EC_AVX2 EC_WIDE_INLINE __m256i ec_mul_high_eight(__m256i x, __m256i multiplier)
{
    return ec_high_words(_mm256_mul_epi32(x, multiplier),
                         _mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(multiplier, 32)));
}

EC_AVX2 EC_WIDE_INLINE void ec_store_eight(__m256i values, int32_t low, int32_t high, int32_t count, int8_t *out)
{
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
    __m128i bytes = _mm_packs_epi16(words, words);
    bytes = _mm_min_epi8(_mm_max_epi8(bytes, _mm_set1_epi8((char)low)), _mm_set1_epi8((char)high));
    if (count >= EC_EIGHT) {
        _mm_storel_epi64((__m128i *)(void *)out, bytes);
    } else {
        int8_t eight[EC_EIGHT];
        _mm_storel_epi64((__m128i *)(void *)eight, bytes);
        for (int32_t i = 0; i < count; i++)
            out[i] = eight[i];
    }
}

EC_AVX2 EC_WIDE_INLINE void ec_wide_store_avx2(
        __m256i sums, const int32_t *channels, ec_wide_output o, int32_t count, int8_t *out)
{
    __m256i high = ec_mul_high_eight(_mm256_add_epi32(sums, sums), ec_load_eight(channels + 2 * EC_EIGHT));
    high = _mm256_add_epi32(high, _mm256_srai_epi32(high, 31));
    high = _mm256_add_epi32(_mm256_srav_epi32(high, ec_load_eight(channels + 3 * EC_EIGHT)), _mm256_set1_epi32(o.twice_zero_point));
    ec_store_eight(_mm256_srai_epi32(high, 1), o.low, o.high, count, out);
}

#elif EC_WIDE_ARM

EC_WIDE_INLINE void ec_store_eight(int32x4_t first, int32x4_t second, int32_t low, int32_t high, int32_t count, int8_t *out)
{
    int8x8_t bytes = vqmovn_s16(vcombine_s16(vqmovn_s32(first), vqmovn_s32(second)));
    bytes = vmin_s8(vmax_s8(bytes, vdup_n_s8((int8_t)low)), vdup_n_s8((int8_t)high));
    if (count >= EC_EIGHT) {
        vst1_s8(out, bytes);
    } else {
        int8_t eight[EC_EIGHT];
        vst1_s8(eight, bytes);
        for (int32_t i = 0; i < count; i++)
            out[i] = eight[i];
    }
}

EC_WIDE_INLINE int32x4_t ec_wide_four(int32x4_t sums, const int32_t *multiplier, ec_wide_output o)
{
    int32x4_t high = vqrdmulhq_s32(sums, vld1q_s32(multiplier)); /* doubles, and rounds halves up */
    high = vaddq_s32(high, vshrq_n_s32(high, 31));
    high = vshlq_s32(high, vnegq_s32(vld1q_s32(multiplier + EC_EIGHT)));
    return vshrq_n_s32(vaddq_s32(high, vdupq_n_s32(o.twice_zero_point)), 1);
}

EC_WIDE_INLINE void ec_wide_store_neon(
        int32x4_t first, int32x4_t second, const int32_t *channels, ec_wide_output o, int32_t count, int8_t *out)
{
    const int32_t *multiplier = channels + 2 * EC_EIGHT;
    ec_store_eight(ec_wide_four(first, multiplier, o), ec_wide_four(second, multiplier + 4, o), o.low, o.high, count, out);
}

#endif

#endif
