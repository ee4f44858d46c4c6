/* 2D convolution, int8, for the DSP extension: pairs of pixels against fours of filters.
 *
 * A word of weights holds two elements of two filters: each half is f0 + 256 * f1. SMLAD with the raw word sums x * f0 + 256 * x * f1, SMLAD
 * with its SXTB16 sums x * f0; the difference is 256 times the other filter's sum. Thirteen registers hold eight such sums, two words of
 * inputs and two of weights: 12 instructions for 16 products. */
#include "ec_dsp.h"
#include "ec_dsp_quad.h"

/* The loop bounds of a layer. A run is a stretch of contiguous input bytes: a row of taps, or a single tap of a grouped or dilated filter. */
typedef struct {
    const ec_conv_params *p;
    int32_t runs;                     /* in a row of taps */
    int32_t run_len;
    int32_t run_stride, row_stride;   /* bytes of the input */
    int32_t steps;                    /* words a pixel and filter */
    int32_t last_y, last_x;           /* windows that start beyond are cut off below or to the right */
    uint32_t padding;                 /* in_zero_point in both halves */
} layer;

static layer describe(const ec_conv_params *p)
{
    const bool whole = p->filter_c == p->in.c && p->dilation_w == 1;
    layer l;
    l.p = p;
    l.runs = whole ? 1 : p->filter_w;
    l.run_len = whole ? p->filter_w * p->filter_c : p->filter_c;
    l.run_stride = p->dilation_w * p->in.c;
    l.row_stride = p->dilation_h * p->in.w * p->in.c;
    l.steps = p->filter_h * l.runs * ec_run_steps(l.run_len);
    l.last_y = p->in.h - 1 - (p->filter_h - 1) * p->dilation_h;
    l.last_x = p->in.w - 1 - (p->filter_w - 1) * p->dilation_w;
    l.padding = ec_twice16(p->in_zero_point);
    return l;
}

/* An output pixel: where its window starts, and in which image. */
typedef struct {
    const int8_t *image;
    int32_t y, x;
    int32_t column;
} cursor;

static void advance(const ec_conv_params *p, cursor *c)
{
    c->x += p->stride_w;
    if (++c->column < p->out.w)
        return;
    c->column = 0;
    c->x = -p->pad_left;
    c->y += p->stride_h;
    if (c->y < p->out.h * p->stride_h - p->pad_top)
        return;
    c->y = -p->pad_top;
    c->image += p->in.h * p->in.w * p->in.c;
}

static bool inside(const layer *l, const cursor *c)
{
    return c->y >= 0 && c->x >= 0 && c->y <= l->last_y && c->x <= l->last_x;
}

static const int8_t *at(const layer *l, const cursor *c)
{
    return c->image + (c->y * l->p->in.w + c->x) * l->p->in.c;
}

/* Two windows that need no padding, in turns: words of x belong to the first and the second pixel alternately. */
static void expand_two(const layer *l, const int8_t *a, const int8_t *b, uint32_t *x)
{
    const int32_t ahead = (int32_t)(b - a);
    for (int32_t row = l->p->filter_h; row != 0; row--, a += l->row_stride) {
        const int8_t *run = a;
        for (int32_t n = l->runs; n != 0; n--, run += l->run_stride) {
            const int8_t *from = run;
            EC_ROLLED
            for (const int8_t *end = run + (l->run_len & ~3); from != end; from += 4, x += 4) {
                const uint32_t four = ec_load_word(from), other = ec_load_word(from + ahead);
                x[0] = ec_even_bytes(four);
                x[1] = ec_even_bytes(other);
                x[2] = ec_odd_bytes(four);
                x[3] = ec_odd_bytes(other);
            }
            const int32_t rest = l->run_len & 3;
            if (rest != 0) {
                ec_expand_rest(from, rest, x);
                ec_expand_rest(from + ahead, rest, x + 1);
                x += rest == 3 ? 4 : 2;
            }
        }
    }
}

/* One element of a run into its half of a word. */
static void put(uint32_t *x, int32_t k, int32_t run_len, int8_t value)
{
    const int32_t rest = run_len & 3;
    const int32_t group = k & ~3;
    ec_half *word = (ec_half *)(void *)(x + group);
    const bool tail_of_two = rest != 0 && rest != 3 && k >= run_len - rest;
    const int32_t lane = k & 3;
    /* Elements 0 and 2, then 1 and 3; a rest of one or two elements is one word. */
    if (tail_of_two)
        word[lane] = value;
    else
        word[(lane & 1) * 4 + (lane >> 1)] = value;
}

/* A window that may leave the image, into the words of one pixel. */
static void expand_one(const layer *l, const cursor *c, int32_t channel, uint32_t *x)
{
    const ec_conv_params *p = l->p;
    const int32_t run_words = 2 * ec_run_steps(l->run_len);
    const int32_t taps = l->runs == 1 ? p->filter_w : 1;
    for (int32_t row = 0, y = c->y; row < p->filter_h; row++, y += p->dilation_h) {
        const bool row_inside = y >= 0 && y < p->in.h;
        for (int32_t run = 0, left = c->x; run < l->runs; run++, left += p->dilation_w, x += run_words) {
            for (int32_t n = 0; n < run_words; n += 2)
                x[n] = l->padding;
            if (!row_inside)
                continue;
            const int32_t first = left < 0 ? -left : 0;
            const int32_t last = left + taps > p->in.w ? p->in.w - left : taps;
            if (first >= last)
                continue;
            const int8_t *from = c->image + (y * p->in.w + left + first) * p->in.c + channel;
            int32_t k = first * p->filter_c;
            const int32_t end = last * p->filter_c;
            for (; k < end && (k & 3) != 0; k++)
                put(x, k, l->run_len, *from++);
            for (; k + 4 <= end; k += 4, from += 4) {
                const uint32_t four = ec_load_word(from);
                x[k] = ec_even_bytes(four);
                x[k + 2] = ec_odd_bytes(four);
            }
            for (; k < end; k++)
                put(x, k, l->run_len, *from++);
        }
    }
}

static void clamp_bytes(const ec_conv_params *p, int8_t *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}

/* All filters of a group on the two pixels in quad->x; leaves the outputs one group further. */
static void sum_group(ec_quad *quad, int32_t filters)
{
    quad->quads = filters >> 2;
    if (quad->quads != 0)
        ec_quad_sums(quad);
    const int32_t rest = filters & 3;
    if (rest == 0)
        return;
    int8_t first[4], second[4];
    int8_t *const out0 = quad->out0, *const out1 = quad->out1;
    quad->out0 = first;
    quad->out1 = second;
    quad->quads = 1;
    ec_quad_sums(quad);
    for (int32_t i = 0; i < rest; i++) {
        out0[i] = first[i];
        out1[i] = second[i];
    }
    quad->out0 = out0 + rest;
    quad->out1 = out1 + rest;
}

void ec_conv2d_dsp_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *scratch,
        int8_t *out)
{
    const layer l = describe(p);
    ec_channel *const channels = (ec_channel *)(void *)scratch;
    const int32_t groups = p->in.c / p->filter_c;
    uint32_t *const x = (uint32_t *)(void *)ec_fill_channels(channels, bias, scales, groups, p->filters_per_group);
    const bool clamped = p->out_min > -128 || p->out_max < 127;
    const int32_t pixels = p->batches * p->out.h * p->out.w;
    ec_quad quad = {
        .x = x,
        .row_bytes = 8 * l.steps,
        .entry = ec_quad_entry(l.steps),
        .twice_zero_point = 2 * p->out_zero_point + 1,
    };
    cursor next = { in, -p->pad_top, -p->pad_left, 0 };
    for (int32_t i = 0; i < pixels; i += 2) {
        const cursor first = next;
        advance(p, &next);
        const bool two = i + 1 < pixels;
        const cursor second = two ? next : first;
        if (two)
            advance(p, &next);
        const bool whole = inside(&l, &first) && inside(&l, &second);
        quad.weights = (const uint32_t *)(const void *)weights;
        quad.channels = channels;
        quad.out0 = out;
        quad.out1 = two ? out + p->out.c : out;
        for (int32_t channel = 0; channel < p->in.c; channel += p->filter_c) {
            if (whole) {
                expand_two(&l, at(&l, &first) + channel, at(&l, &second) + channel, x);
            } else {
                expand_one(&l, &first, channel, x);
                expand_one(&l, &second, channel, x + 1);
            }
            sum_group(&quad, p->filters_per_group);
        }
        const int32_t written = two ? 2 * p->out.c : p->out.c;
        if (clamped)
            clamp_bytes(p, out, written);
        out += written;
    }
}
