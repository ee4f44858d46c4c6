/* 2D convolution, int8, from packed weights, for the DSP extension: a few fours of filters at a time are unpacked into the words that
 * ec_conv2d_dsp_s8 reads, then all pairs of pixels meet them. */
#include "ec_dsp_conv.h"
#include "ec_unpack.h"

/* Elements `a` and `b` (below 0: none) of two filters that lie `stride` apart, as a word: each half is f0 + 256 * f1. */
static uint32_t two_filters(const int8_t *f, int32_t stride, int32_t a, int32_t b)
{
    const int32_t first = f[a] + 256 * f[a + stride];
    const int32_t second = b < 0 ? 0 : f[b] + 256 * f[b + stride];
    return ((uint32_t)first & 0xffff) | (uint32_t)second << 16;
}

static uint32_t *four_filters(const int8_t *f, int32_t stride, int32_t a, int32_t b, uint32_t *to)
{
    *to++ = two_filters(f, stride, a, b);
    *to++ = two_filters(f + 2 * stride, stride, a, b);
    return to;
}

/* Both halves of a word plus those of another; a half's carry is lost. */
static inline uint32_t add_halves(uint32_t a, uint32_t b)
{
#if EC_DSP_ASSEMBLY
    return (uint32_t)__uadd16((uint16x2_t)a, (uint16x2_t)b);
#else
    return ((a + b) & 0xffff) | ((a & 0xffff0000) + (b & 0xffff0000));
#endif
}

/* Fours of elements of two filters: the words of elements 0 and 2, and 1 and 3. */
static inline void weave_four(const int8_t *f, int32_t stride, uint32_t *even, uint32_t *odd)
{
    const uint32_t first = ec_load_word(f), second = ec_load_word(f + stride);
    *even = add_halves(ec_even_bytes(first), (second & 0x00ff00ff) << 8);
    *odd = add_halves(ec_odd_bytes(first), second & 0xff00ff00);
}

/* Four filters of `runs` runs of `len` elements each, one after the other, to the words of their steps; returns their end. */
static uint32_t *weave(const int8_t *filters, int32_t stride, int32_t runs, int32_t len, uint32_t *to)
{
    for (; runs > 0; runs--, filters += len) {
        int32_t k = 0;
        EC_ROLLED
        for (; k + 4 <= len; k += 4, to += 4) {
            weave_four(filters + k, stride, to, to + 2);
            weave_four(filters + k + 2 * stride, stride, to + 1, to + 3);
        }
        const int32_t rest = len - k;
        if (rest != 0)
            to = four_filters(filters, stride, k, rest == 1 ? -1 : k + rest - 1, to);
        if (rest == 3)
            to = four_filters(filters, stride, k + 1, -1, to);
    }
    return to;
}

/* Filters [first, first + count), padded with zeros to fours. */
static void unpack_filters(
        const ec_packed_weights *w, const ec_conv_layer *l, int32_t first, int32_t count, int8_t *four, uint32_t *to)
{
    for (; count > 0; count -= 4, first += 4) {
        for (int32_t f = 0; f < 4; f++) {
            int8_t *const filter = four + f * w->filter_len;
            if (f < count)
                ec_unpack(w, first + f, 0, w->filter_len, filter);
            else
                for (int32_t i = 0; i < w->filter_len; i++)
                    filter[i] = 0;
        }
        to = weave(four, w->filter_len, l->p->filter_h * l->runs.count, l->runs.len, to);
    }
}

void ec_conv2d_packed_dsp_s8(
        const ec_conv_params *p, const int8_t *in, const ec_packed_weights *weights, int32_t at_once, const ec_channel_data *data,
        int8_t *scratch, int8_t *out)
{
    const ec_conv_layer l = ec_conv_describe(p, in);
    ec_channel *const channels = (ec_channel *)(void *)scratch;
    const int32_t pixels = p->batches * p->out.h * p->out.w;
    uint32_t *const x = (uint32_t *)(void *)ec_fill_channels(channels, data, 1, p->out.c);
    uint32_t *const words = x + 2 * l.steps;
    int8_t *const four = (int8_t *)(words + 2 * l.steps * ((at_once + 3) >> 2));
    const bool pointwise = p->filter_h * p->filter_w == 1 && p->stride_h * p->stride_w == 1;
    for (int32_t first = 0; first < p->out.c; first += at_once) {
        ec_conv_job j = {
            .quad = { .row_bytes = 8 * l.steps, .entry = ec_quad_entry(l.steps), .twice_zero_point = 2 * p->out_zero_point + 1 },
            .weights = words,
            .channels = channels + first,
            .x = x,
            .filters = ec_conv_smaller(at_once, p->out.c - first),
        };
        j.quad.x = x;
        unpack_filters(weights, &l, first, j.filters, four, words);
        if (pointwise)
            ec_conv_all_pixels(&l, &j, in, pixels, out + first);
        else
            ec_conv_all_windows(&l, &j, in, pixels, out + first);
    }
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < pixels * p->out.c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
