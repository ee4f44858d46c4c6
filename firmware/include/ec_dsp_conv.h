/* The pairs of pixels of a convolution for the DSP extension, and the sums of fours of filters on them; ec_conv2d_dsp_s8.c tells how. */
#ifndef EC_DSP_CONV_H
#define EC_DSP_CONV_H

#include "ec_dsp.h"
#include "ec_dsp_quad.h"
#include "ec_windows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The loop bounds of a layer. */
typedef struct {
    const ec_conv_params *p;
    ec_runs runs;
    int32_t steps, row_steps;         /* words a pixel and filter; of one row of taps */
    uint32_t padding;                 /* in_zero_point in both halves */
    const int8_t *in_end;             /* of all images */
    ec_rows rows;                     /* how to expand the rows of two windows, but for where they are and how many */
} ec_conv_layer;

static inline ec_conv_layer ec_conv_describe(const ec_conv_params *p, const int8_t *in)
{
    ec_conv_layer l;
    l.p = p;
    l.runs = ec_runs_of(p);
    l.row_steps = l.runs.count * ec_run_steps(l.runs.len);
    l.steps = p->filter_h * l.row_steps;
    l.padding = ec_twice16(p->in_zero_point);
    l.in_end = in + p->batches * p->in.h * p->in.w * p->in.c;
    /* A rest of three is a four. */
    l.rows.fours = (l.runs.len + 1) >> 2;
    l.rows.rest = (l.runs.len & 3) == 3 ? 0 : l.runs.len & 3;
    l.rows.skip = l.runs.row_stride - 4 * l.rows.fours;
    return l;
}

static inline int32_t ec_conv_smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* `count` words of padding, `step` apart. */
static inline void ec_conv_fill(uint32_t *x, int32_t count, int32_t step, uint32_t padding)
{
    EC_ROLLED
    for (; count != 0; count--, x += step)
        *x = padding;
}

/* Rows of two windows that need no padding in these, in turns: words of x belong to the first and the second pixel alternately. */
static __attribute__((noinline)) void ec_conv_expand_two(const ec_conv_layer *l, const int8_t *a, const int8_t *b, int32_t rows, uint32_t *x)
{
    const int32_t row_step = l->runs.row_stride;
    const int32_t beyond = 4 * l->rows.fours + (l->rows.rest != 0 ? 4 : 0);
    ec_rows part = l->rows;
    part.a = a;
    part.b = b;
    part.rows = rows;
    if (l->runs.count == 1 && l->in_end - b >= (rows - 1) * row_step + beyond) {
        ec_expand_two(&part, x);
        return;
    }
    /* One run after the other, and none of them reads beyond its end. */
    const int32_t rest = l->runs.len & 3;
    part.fours = l->runs.len >> 2;
    part.rest = 0;
    part.rows = 1;
    for (; rows != 0; rows--, a += row_step, b += row_step) {
        part.a = a;
        part.b = b;
        for (int32_t n = l->runs.count; n != 0; n--, part.a += l->runs.stride, part.b += l->runs.stride) {
            ec_expand_two(&part, x);
            x += 4 * part.fours;
            if (rest == 0)
                continue;
            ec_expand_rest(part.a + l->runs.len - rest, rest, x);
            ec_expand_rest(part.b + l->runs.len - rest, rest, x + 1);
            x += rest == 3 ? 4 : 2;
        }
    }
}

/* Where an element of a run stands among the halves of its pixel: 0 and 2, then 1 and 3; a rest of one or two elements is one word. */
static inline int32_t ec_conv_place(int32_t k, int32_t pairs_from)
{
    return 2 * (k & ~3) + (k >= pairs_from ? k & 3 : (k & 1) * 4 + (k >> 1 & 1));
}

/* Elements of a run from `first` to `last` into the words of one pixel; where they are not whole fours, x holds padding before. */
static inline void ec_conv_expand_part(const ec_conv_layer *l, const int8_t *run, int32_t first, int32_t last, uint32_t *x)
{
    const int32_t rest = l->runs.len & 3;
    const int32_t pairs_from = rest == 0 || rest == 3 ? l->runs.len : l->runs.len - rest;
    ec_half *const half = (ec_half *)(void *)x;
    int32_t k = first;
    for (; k < last && (k & 3) != 0; k++)
        half[ec_conv_place(k, pairs_from)] = run[k];
    EC_ROLLED
    for (; k + 4 <= last; k += 4) {
        const uint32_t four = ec_load_word(run + k);
        x[k] = ec_even_bytes(four);
        x[k + 2] = ec_odd_bytes(four);
    }
    EC_ROLLED
    for (; k < last; k++)
        half[ec_conv_place(k, pairs_from)] = run[k];
}

/* Rows of a window that may leave the image at its sides, into the words of one pixel; `row` may point beside the image. */
static __attribute__((noinline)) void ec_conv_expand_one(const ec_conv_layer *l, const int8_t *row, int32_t column, int32_t rows, uint32_t *x)
{
    const int32_t words = ec_run_steps(l->runs.len);
    for (int32_t run = 0; run < l->runs.count; run++, column += l->p->dilation_w, row += l->runs.stride, x += 2 * words) {
        const ec_taps_range part = ec_part_inside(l->p, &l->runs, column);
        const int32_t before = part.first > 0 ? ec_conv_smaller((part.first + 3) >> 2 << 1, words) : 0;
        const int32_t after = part.last < l->runs.len ? words - (part.last >> 2 << 1) : 0;
        const int8_t *from = row;
        uint32_t *to = x;
        for (int32_t n = rows; n != 0; n--, from += l->runs.row_stride, to += 2 * l->row_steps) {
            ec_conv_fill(to, before, 2, l->padding);
            ec_conv_fill(to + (part.last & ~3), after, 2, l->padding);
            ec_conv_expand_part(l, from, part.first, part.last, to);
        }
    }
}

/* Both windows into x: what lies outside the image is padding. Two of one row of outputs that stay within the sides go together. */
static inline void ec_conv_expand(const ec_conv_layer *l, const ec_place *w, int32_t channel, uint32_t *x)
{
    const int32_t row_words = 2 * l->row_steps;
    if (w[0].y == w[1].y && w[0].sides_inside && w[1].sides_inside) {
        const ec_taps_range rows = ec_rows_inside(l->p, w);
        const int32_t above = rows.first * l->runs.row_stride + channel;
        ec_conv_fill(x, rows.first * row_words, 1, l->padding);
        if (rows.first < rows.last)
            ec_conv_expand_two(l, w[0].at + above, w[1].at + above, rows.last - rows.first, x + rows.first * row_words);
        ec_conv_fill(x + rows.last * row_words, (l->p->filter_h - rows.last) * row_words, 1, l->padding);
        return;
    }
    for (int32_t pixel = 0; pixel < 2; pixel++, x++, w++) {
        const ec_taps_range rows = ec_rows_inside(l->p, w);
        ec_conv_fill(x, rows.first * l->row_steps, 2, l->padding);
        ec_conv_expand_one(l, w->at + rows.first * l->runs.row_stride + channel, w->x, rows.last - rows.first, x + rows.first * row_words);
        ec_conv_fill(x + rows.last * row_words, (l->p->filter_h - rows.last) * l->row_steps, 2, l->padding);
    }
}

/* What the pairs of a layer share. */
typedef struct {
    ec_quad quad;
    const uint32_t *weights;
    const ec_channel *channels;
    uint32_t *x;
    int32_t filters;                  /* of a group, or fewer: those whose weights these are */
} ec_conv_job;

/* The first group's filters, and where a pair's outputs go. */
static inline void ec_conv_start_pair(ec_conv_job *j, int8_t *out0, int8_t *out1)
{
    j->quad.weights = j->weights;
    j->quad.channels = j->channels;
    j->quad.out0 = out0;
    j->quad.out1 = out1;
}

/* All filters of a group on the two pixels in x; leaves the outputs one group further. */
static inline void ec_conv_sum_group(ec_quad *quad, int32_t filters)
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

/* One pixel of the input for each of the output: nothing is padded, and all pixels are one row. */
static inline void ec_conv_all_pixels(const ec_conv_layer *l, ec_conv_job *j, const int8_t *in, int32_t pixels, int8_t *out)
{
    const int32_t in_c = l->p->in.c, out_c = l->p->out.c;
    for (; pixels > 0; pixels -= 2, in += 2 * in_c, out += 2 * out_c) {
        const int32_t second = pixels > 1;
        ec_conv_expand_two(l, in, in + (second ? in_c : 0), 1, j->x);
        ec_conv_start_pair(j, out, out + (second ? out_c : 0));
        ec_conv_sum_group(&j->quad, j->filters);
    }
}

static inline void ec_conv_all_windows(const ec_conv_layer *l, ec_conv_job *j, const int8_t *in, int32_t pixels, int8_t *out)
{
    const ec_conv_params *p = l->p;
    ec_places places = ec_first_place(p, in);
    for (; pixels > 0; pixels -= 2, out += 2 * p->out.c) {
        const bool two = pixels > 1;
        ec_place w[2];
        w[0] = ec_next_place(&places);
        if (two)
            w[1] = ec_next_place(&places);
        else
            w[1] = w[0];
        ec_conv_start_pair(j, out, out + (two ? p->out.c : 0));
        for (int32_t channel = 0; channel < p->in.c; channel += p->filter_c) {
            ec_conv_expand(l, w, channel, j->x);
            ec_conv_sum_group(&j->quad, j->filters);
        }
    }
}

#ifdef __cplusplus
}
#endif
#endif
