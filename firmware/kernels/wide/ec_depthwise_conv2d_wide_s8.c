/* Depthwise 2D convolution with a depth multiplier of 1, int8, for application processors: a pixel at a time, eights of channels, whose taps
 * are read where they lie. Taps outside the image read a row of zero points. */
#include "ec_patch.h"
#include "ec_wide.h"
#include "ec_wide_eight.h"

typedef struct {
    const int8_t **taps;              /* where channel 0 of each tap lies; an even number of them on x86 */
    int32_t count;                    /* of taps, without one that makes them even */
    int32_t channels;                 /* 8 or more */
    const int8_t *weights;            /* [count][channels] */
    const int8_t *paired;             /* x86: [eights][pairs of taps][8][2] of int16 */
    const int32_t *data;              /* [eights][4][8] */
    ec_wide_output output;
    int8_t *out;
} pixel;

/* The first channel of an eight: the last eight ends with the last channel. */
EC_WIDE_INLINE int32_t start_of(int32_t eight, int32_t channels)
{
    return eight * EC_EIGHT + EC_EIGHT <= channels ? eight * EC_EIGHT : channels - EC_EIGHT;
}

static int32_t eights_of(int32_t channels)
{
    return (channels + EC_EIGHT - 1) / EC_EIGHT;
}

static void sum_plain(const pixel *p)
{
    for (int32_t e = 0; e < eights_of(p->channels); e++) {
        const int32_t start = start_of(e, p->channels), *const data = p->data + e * EC_EIGHT_LEN;
        int32_t sums[EC_EIGHT];
        for (int32_t i = 0; i < EC_EIGHT; i++)
            sums[i] = data[i];
        for (int32_t tap = 0; tap < p->count; tap++) {
            const int8_t *const x = p->taps[tap] + start, *const w = p->weights + tap * p->channels + start;
            for (int32_t i = 0; i < EC_EIGHT; i++)
                sums[i] += x[i] * w[i];
        }
        ec_wide_store_plain(sums, data, p->output, EC_EIGHT, p->out + start);
    }
}

#if EC_WIDE_X86

/* Weights of pairs of taps side by side: |a pair's sum| <= 2 * 128 * 128. */
static void pair_weights(const int8_t *weights, int32_t taps, int32_t channels, int8_t *paired)
{
    for (int32_t e = 0; e < eights_of(channels); e++)
        for (int32_t tap = 0; tap < taps; tap += 2)
            for (int32_t i = 0; i < EC_EIGHT; i++, paired += 4) {
                const int8_t *const w = weights + tap * channels + start_of(e, channels) + i;
                const uint32_t first = (uint32_t)w[0] & 0xffffu, second = tap + 1 < taps ? (uint32_t)w[channels] : 0;
                ((ec_wide_word *)paired)->word = first | second << 16;
            }
}

EC_AVX2 EC_WIDE_INLINE __m128i load_8(const int8_t *at)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)at);
}

EC_AVX2 EC_WIDE_INLINE void sum_eights(const pixel *p, const int32_t eights, int32_t e)
{
    const int32_t pairs = (p->count + 1) / 2;
    const int8_t *w = p->paired + e * pairs * 32;
    __m256i sums[4];
    int32_t start[4];
    for (int32_t k = 0; k < eights; k++) {
        sums[k] = ec_load_eight(p->data + (e + k) * EC_EIGHT_LEN);
        start[k] = start_of(e + k, p->channels);
    }
    for (int32_t pair = 0; pair < pairs; pair++, w += 32) {
        const int8_t *const first = p->taps[2 * pair], *const second = p->taps[2 * pair + 1];
        for (int32_t k = 0; k < eights; k++) {
            const __m128i both = _mm_unpacklo_epi8(load_8(first + start[k]), load_8(second + start[k]));
            const __m256i weights = _mm256_loadu_si256((const __m256i *)(const void *)(w + k * pairs * 32));
            sums[k] = _mm256_add_epi32(sums[k], _mm256_madd_epi16(_mm256_cvtepi8_epi16(both), weights));
        }
    }
    for (int32_t k = 0; k < eights; k++)
        ec_wide_store_avx2(sums[k], p->data + (e + k) * EC_EIGHT_LEN, p->output, EC_EIGHT, p->out + start[k]);
}

EC_AVX2 static void sum_avx2(const pixel *p)
{
    const int32_t eights = eights_of(p->channels);
    int32_t e = 0;
    for (; e + 4 <= eights; e += 4)
        sum_eights(p, 4, e);
    for (; e < eights; e++)
        sum_eights(p, 1, e);
}

#elif EC_WIDE_ARM

static void sum_neon(const pixel *p)
{
    for (int32_t e = 0; e < eights_of(p->channels); e++) {
        const int32_t start = start_of(e, p->channels), *const data = p->data + e * EC_EIGHT_LEN;
        const int8_t *w = p->weights + start;
        int32x4_t low = vld1q_s32(data), high = vld1q_s32(data + 4);
        for (int32_t tap = 0; tap < p->count; tap++, w += p->channels) {
            const int16x8_t products = vmull_s8(vld1_s8(p->taps[tap] + start), vld1_s8(w));
            low = vaddw_s16(low, vget_low_s16(products));
            high = vaddw_high_s16(high, products);
        }
        ec_wide_store_neon(low, high, data, p->output, EC_EIGHT, p->out + start);
    }
}

#endif

typedef void (*sum_function)(const pixel *p);

static sum_function find_sum(void)
{
#if EC_WIDE_X86
    return ec_wide_level() == EC_WIDE_PLAIN ? sum_plain : sum_avx2;
#elif EC_WIDE_ARM
    return ec_wide_level() == EC_WIDE_PLAIN ? sum_plain : sum_neon;
#else
    return sum_plain;
#endif
}

static bool all_inside(int32_t origin, int32_t size, int32_t filter, int32_t dilation)
{
    return origin >= 0 && origin + (filter - 1) * dilation < size;
}

/* The taps of the window whose first one is at (y, x). */
static void place_taps(const ec_conv_params *p, const int8_t *image, int32_t y, int32_t x, const int32_t *offsets, const int8_t *zeros,
                       const int8_t **taps)
{
    if (all_inside(y, p->in.h, p->filter_h, p->dilation_h) && all_inside(x, p->in.w, p->filter_w, p->dilation_w)) {
        const int8_t *const first = image + (y * p->in.w + x) * p->in.c;
        for (int32_t tap = 0; tap < p->filter_h * p->filter_w; tap++)
            taps[tap] = first + offsets[tap];
        return;
    }
    for (int32_t ky = 0; ky < p->filter_h; ky++)
        for (int32_t kx = 0; kx < p->filter_w; kx++) {
            const int32_t row = y + ky * p->dilation_h, column = x + kx * p->dilation_w;
            const bool inside = row >= 0 && row < p->in.h && column >= 0 && column < p->in.w;
            *taps++ = inside ? image + (row * p->in.w + column) * p->in.c : zeros;
        }
}

static void find_offsets(const ec_conv_params *p, int32_t *offsets)
{
    for (int32_t ky = 0; ky < p->filter_h; ky++)
        for (int32_t kx = 0; kx < p->filter_w; kx++)
            *offsets++ = (ky * p->dilation_h * p->in.w + kx * p->dilation_w) * p->in.c;
}

void ec_depthwise_conv2d_wide_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const int32_t *channels, int8_t *scratch, int8_t *out)
{
    const sum_function sum_up = find_sum();
    const int32_t count = p->filter_h * p->filter_w, even = (count + 1) & ~1;
    void *const aligned = scratch + (-(uintptr_t)scratch & 15);
    const int8_t **const taps = (const int8_t **)aligned;
    int32_t *const offsets = (int32_t *)(void *)(taps + even);
    int8_t *const zeros = (int8_t *)(offsets + even), *const paired = zeros + p->in.c;
    for (int32_t i = 0; i < p->in.c; i++)
        zeros[i] = (int8_t)p->in_zero_point;
    taps[even - 1] = zeros;
    find_offsets(p, offsets);
#if EC_WIDE_X86
    if (sum_up != sum_plain)
        pair_weights(weights, count, p->in.c, paired);
#endif
    pixel at = {
        .taps = taps,
        .count = count,
        .channels = p->in.c,
        .weights = weights,
        .paired = paired,
        .data = channels,
        .output = { 2 * p->out_zero_point + 1, p->out_min, p->out_max },
        .out = out,
    };
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, at.out += p->out.c) {
                place_taps(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left, offsets, zeros, taps);
                sum_up(&at);
            }
}
