/* ec_wide_tile.h's sums on 64-bit Arm: with dot products, and with widening products alone. */
#ifndef EC_WIDE_TILE_ARM_H
#define EC_WIDE_TILE_ARM_H

#include "ec_wide_tile.h"

#if EC_WIDE_ARM

/* A word of x in every lane. */
EC_WIDE_INLINE int8x16_t ec_all_words(const int8_t *x)
{
    return vreinterpretq_s8_u32(vdupq_n_u32(ec_wide_load(x)));
}

/* Eight filters: sums of filters 0 to 3 and 4 to 7. */
EC_SDOT EC_WIDE_INLINE void ec_sums_sdot(const ec_wide_tile *t, const int32_t pixels, int32_t first, int32_t e)
{
    int32x4_t low[EC_WIDE_PIXELS], high[EC_WIDE_PIXELS];
    const int32_t *const channels = t->channels + e * EC_EIGHT_LEN;
    const int8_t *x = t->windows + first * t->window_stride;
    const int8_t *w = t->weights + (ptrdiff_t)e * t->steps * EC_STEP_BYTES;
    for (int32_t n = 0; n < pixels; n++) {
        low[n] = vld1q_s32(channels);
        high[n] = vld1q_s32(channels + 4);
    }
    for (int32_t step = 0; step < t->steps; step++, x += 4, w += EC_STEP_BYTES) {
        const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16);
        for (int32_t n = 0; n < pixels; n++) {
            const int8x16_t bytes = ec_all_words(x + n * t->window_stride);
            low[n] = vdotq_s32(low[n], w0, bytes);
            high[n] = vdotq_s32(high[n], w1, bytes);
        }
    }
    for (int32_t n = 0; n < pixels; n++)
        ec_wide_store_neon(low[n], high[n], channels, t->output, t->filters - e * EC_EIGHT, ec_tile_out(t, first + n, e));
}

/* Each register sums elements 0 and 1, 2 and 3 of two filters apart; they are added at the end. */
EC_WIDE_INLINE void ec_sums_neon(const ec_wide_tile *t, const int32_t pixels, int32_t first, int32_t e)
{
    int32x4_t sums[EC_WIDE_PIXELS][4];
    const int32_t *const channels = t->channels + e * EC_EIGHT_LEN;
    const int8_t *x = t->windows + first * t->window_stride;
    const int8_t *w = t->weights + (ptrdiff_t)e * t->steps * EC_STEP_BYTES;
    for (int32_t n = 0; n < pixels; n++)
        for (int32_t two = 0; two < 4; two++)
            sums[n][two] = vdupq_n_s32(0);
    for (int32_t step = 0; step < t->steps; step++, x += 4, w += EC_STEP_BYTES)
        for (int32_t n = 0; n < pixels; n++) {
            const int8x8_t bytes = vget_low_s8(ec_all_words(x + n * t->window_stride));
            for (int32_t two = 0; two < 4; two++)
                sums[n][two] = vpadalq_s16(sums[n][two], vmull_s8(vld1_s8(w + 8 * two), bytes));
        }
    for (int32_t n = 0; n < pixels; n++) {
        const int32x4_t low = vaddq_s32(vpaddq_s32(sums[n][0], sums[n][1]), vld1q_s32(channels));
        const int32x4_t high = vaddq_s32(vpaddq_s32(sums[n][2], sums[n][3]), vld1q_s32(channels + 4));
        ec_wide_store_neon(low, high, channels, t->output, t->filters - e * EC_EIGHT, ec_tile_out(t, first + n, e));
    }
}

EC_SDOT EC_OUT_OF_LINE void ec_tile_sdot(const ec_wide_tile *t)
{
    for (int32_t e = 0; e < ec_wide_eights(t->filters); e++)
        if (t->pixels == EC_WIDE_PIXELS)
            ec_sums_sdot(t, 4, 0, e);
        else
            for (int32_t n = 0; n < t->pixels; n++)
                ec_sums_sdot(t, 1, n, e);
}

EC_OUT_OF_LINE void ec_tile_neon(const ec_wide_tile *t)
{
    for (int32_t e = 0; e < ec_wide_eights(t->filters); e++)
        if (t->pixels == EC_WIDE_PIXELS)
            ec_sums_neon(t, 4, 0, e);
        else
            for (int32_t n = 0; n < t->pixels; n++)
                ec_sums_neon(t, 1, n, e);
}

#endif

#endif
