/* ec_wide_tile.h's sums with AVX2, and with dot products of bytes. */
#ifndef EC_WIDE_TILE_X86_H
#define EC_WIDE_TILE_X86_H

#include "ec_wide_tile.h"

#if EC_WIDE_X86

/* Bytes to pairs of int16 (elements 0 and 2, 1 and 3), as weights are unpacked: pair p of a step of a pixel is a word. */
EC_AVX2 static inline void ec_expand_avx2(const int8_t *from, int32_t steps, int8_t *to)
{
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,
                                           0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
    int32_t i = 0;
    for (; i + 4 <= steps; i += 4) {
        const __m256i halves = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(from + 4 * i)));
        _mm256_storeu_si256((__m256i *)(void *)(to + 8 * i), _mm256_shuffle_epi8(halves, order));
    }
    for (; i < steps; i++) {
        const __m128i halves = _mm_cvtepi8_epi16(_mm_cvtsi32_si128((int)ec_wide_load(from + 4 * i)));
        _mm_storel_epi64((__m128i *)(void *)(to + 8 * i), _mm_shuffle_epi8(halves, _mm256_castsi256_si128(order)));
    }
}

/* A word of x in every lane. */
EC_AVX2 EC_WIDE_INLINE __m256i ec_all_lanes(const int8_t *x)
{
    return _mm256_set1_epi32((int)ec_wide_load(x));
}

EC_AVX2 EC_WIDE_INLINE __m256i ec_step_weights(const int8_t *weights)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)weights);
}

/* Products of int16 pairs: |a pair's sum| <= 2 * 128 * 128, so nothing saturates. */
EC_AVX2 EC_WIDE_INLINE void ec_sums_avx2(const ec_wide_tile *t, const int32_t pixels, const int32_t eights, int32_t first, int32_t e)
{
    __m256i sums[EC_WIDE_PIXELS][EC_WIDE_PIXELS];
    const int32_t row = 8 * t->steps;
    const int8_t *x = t->scratch + first * row;
    const int8_t *w = t->weights + (ptrdiff_t)e * t->steps * EC_STEP_BYTES;
    for (int32_t k = 0; k < eights; k++)
        for (int32_t n = 0; n < pixels; n++)
            sums[n][k] = ec_load_eight(t->channels + (e + k) * EC_EIGHT_LEN);
    for (int32_t step = 0; step < t->steps; step++, x += 8, w += EC_STEP_BYTES) {
        for (int32_t k = 0; k < eights; k++) {
            const __m256i bytes = ec_step_weights(w + (ptrdiff_t)k * t->steps * EC_STEP_BYTES);
            const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), odd = _mm256_srai_epi16(bytes, 8);
            for (int32_t n = 0; n < pixels; n++) {
                sums[n][k] = _mm256_add_epi32(sums[n][k], _mm256_madd_epi16(even, ec_all_lanes(x + n * row)));
                sums[n][k] = _mm256_add_epi32(sums[n][k], _mm256_madd_epi16(odd, ec_all_lanes(x + n * row + 4)));
            }
        }
    }
    for (int32_t k = 0; k < eights; k++)
        for (int32_t n = 0; n < pixels; n++)
            ec_wide_store_avx2(sums[n][k], t->channels + (e + k) * EC_EIGHT_LEN, t->output, t->filters - (e + k) * EC_EIGHT,
                               ec_tile_out(t, first + n, e + k));
}

EC_AVX2 EC_OUT_OF_LINE void ec_tile_avx2(const ec_wide_tile *t)
{
    const int32_t eights = ec_wide_eights(t->filters);
    int32_t e = 0;
    for (int32_t n = 0; n < t->pixels; n++)
        ec_expand_avx2(t->windows + n * t->window_stride, t->steps, t->scratch + n * 8 * t->steps);
    if (t->pixels == EC_WIDE_PIXELS) {
        for (; e + 2 <= eights; e += 2)
            ec_sums_avx2(t, 4, 2, 0, e);
        if (e < eights)
            ec_sums_avx2(t, 4, 1, 0, e);
        return;
    }
    for (; e + 4 <= eights; e += 4)
        for (int32_t n = 0; n < t->pixels; n++)
            ec_sums_avx2(t, 1, 4, n, e);
    for (; e < eights; e++)
        for (int32_t n = 0; n < t->pixels; n++)
            ec_sums_avx2(t, 1, 1, n, e);
}

#if EC_WIDE_HAS_VNNI

#define EC_VNNI_TARGET __attribute__((target("avx2,avxvnni")))
#define EC_VNNI_NAME(name) name##_vnni
#define EC_VNNI_DOT _mm256_dpbusd_avx_epi32
#include "ec_wide_vnni.h"

#define EC_VNNI_TARGET __attribute__((target("avx2,avx512f,avx512vl,avx512vnni")))
#define EC_VNNI_NAME(name) name##_vnni_512
#define EC_VNNI_DOT _mm256_dpbusd_epi32
#include "ec_wide_vnni.h"

#endif

#endif

#endif
