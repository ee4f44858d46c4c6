/* Up to four windows against all filters of a group: the inner loops of convolutions and dense layers on each level.
 *
 * Weights lie as [eights][steps][8 filters][4 elements]: a step meets four elements of a window, in each lane the same, with four of each
 * filter, and eight sums stay side by side up to their outputs. */
#ifndef EC_WIDE_TILE_H
#define EC_WIDE_TILE_H

#include "ec_wide_eight.h"

#define EC_WIDE_PIXELS 4
#define EC_STEP_BYTES 32

typedef struct {
    const int8_t *windows;            /* [pixels][4 * steps]; raw bytes */
    int32_t window_stride;            /* from a window to the next */
    int32_t pixels;                   /* 1 to EC_WIDE_PIXELS */
    int32_t steps;
    const int8_t *weights;
    const int32_t *channels;
    int32_t filters;
    ec_wide_output output;
    int8_t *scratch;                  /* 8 bytes a step and pixel */
    int8_t *out;
    int32_t out_stride;               /* from a pixel to the next */
} ec_wide_tile;

EC_WIDE_INLINE int32_t ec_wide_eights(int32_t channels)
{
    return (channels + EC_EIGHT - 1) / EC_EIGHT;
}

/* Where the outputs of eight `e` of pixel `n` go. */
EC_WIDE_INLINE int8_t *ec_tile_out(const ec_wide_tile *t, int32_t n, int32_t e)
{
    return t->out + n * t->out_stride + e * EC_EIGHT;
}

#if EC_WIDE_X86

/* Elements 0 and 2, or 1 and 3, of each word of bytes as int16. */
EC_WIDE_INLINE __m128i ec_even_halves(__m128i bytes)
{
    return _mm_srai_epi16(_mm_slli_epi16(bytes, 8), 8);
}

EC_WIDE_INLINE __m128i ec_four_sums(__m128i sums, __m128i weights, __m128i x_even, __m128i x_odd)
{
    sums = _mm_add_epi32(sums, _mm_madd_epi16(ec_even_halves(weights), x_even));
    return _mm_add_epi32(sums, _mm_madd_epi16(_mm_srai_epi16(weights, 8), x_odd));
}

/* With SSE2, which every x86-64 has: eight sums of a window. */
EC_WIDE_INLINE void ec_sums_plain(const ec_wide_tile *t, const int8_t *x, const int8_t *w, const int32_t *bias, int32_t *sums)
{
    const __m128i *const start = (const __m128i *)(const void *)bias;
    __m128i first = _mm_loadu_si128(start), second = _mm_loadu_si128(start + 1);
    for (int32_t step = 0; step < t->steps; step++, x += 4, w += EC_STEP_BYTES) {
        const __m128i bytes = _mm_set1_epi32((int)ec_wide_load(x));
        const __m128i even = ec_even_halves(bytes), odd = _mm_srai_epi16(bytes, 8);
        first = ec_four_sums(first, _mm_loadu_si128((const __m128i *)(const void *)w), even, odd);
        second = ec_four_sums(second, _mm_loadu_si128((const __m128i *)(const void *)(w + 16)), even, odd);
    }
    _mm_storeu_si128((__m128i *)(void *)sums, first);
    _mm_storeu_si128((__m128i *)(void *)(sums + 4), second);
}

#else

EC_WIDE_INLINE void ec_sums_plain(const ec_wide_tile *t, const int8_t *x, const int8_t *w, const int32_t *bias, int32_t *sums)
{
    for (int32_t i = 0; i < EC_EIGHT; i++)
        sums[i] = bias[i];
    for (int32_t step = 0; step < t->steps; step++, x += 4, w += EC_STEP_BYTES)
        for (int32_t i = 0; i < EC_EIGHT; i++)
            sums[i] += x[0] * w[4 * i] + x[1] * w[4 * i + 1] + x[2] * w[4 * i + 2] + x[3] * w[4 * i + 3];
}

#endif

EC_OUT_OF_LINE void ec_tile_plain(const ec_wide_tile *t)
{
    for (int32_t e = 0; e < ec_wide_eights(t->filters); e++) {
        const int32_t *const channels = t->channels + e * EC_EIGHT_LEN, rest = t->filters - e * EC_EIGHT;
        for (int32_t n = 0; n < t->pixels; n++) {
            int32_t sums[EC_EIGHT];
            ec_sums_plain(t, t->windows + n * t->window_stride, t->weights + (ptrdiff_t)e * t->steps * EC_STEP_BYTES, channels, sums);
            ec_wide_store_plain(sums, channels, t->output, rest < EC_EIGHT ? rest : EC_EIGHT, ec_tile_out(t, n, e));
        }
    }
}

#endif
