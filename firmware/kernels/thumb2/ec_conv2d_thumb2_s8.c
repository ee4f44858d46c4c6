/* 2D convolution, int8, for Thumb-2 without DSP: pairs of pixels against fours of filters.
 *
 * Both windows are expanded to words, the first and the second pixel's in turns, so that one LDM loads what eight MLA need; each weight is
 * loaded once for both pixels: 13 instructions for 8 products. */
#include "ec_thumb2.h"
#include "ec_windows.h"

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2
#define ASSEMBLY 1
#else
#define ASSEMBLY 0
#endif

/* The arguments of sum_fours, in the order in which its assembly finds them. */
typedef struct {
    const int32_t *x;                 /* 0: [elements][2] */
    const int8_t *weights;            /* 4: [fours][elements][4]; moved on */
    const ec_channel *channels;       /* 8: moved on by four a four */
    int8_t *out0, *out1;              /* 12, 16: of the two pixels; moved on by four a four */
    int32_t fours;                    /* 20: > 0; 0 afterwards */
    int32_t four_bytes;               /* 24: of weights, 4 * elements */
    int32_t entry;                    /* 28: entry_for(elements) */
    int32_t twice_zero_point;         /* 32: 2 * out_zero_point + 1 */
} fours_job;

/* Rows of bytes of two pixels, to be expanded. */
typedef struct {
    const int8_t *a, *b;
    int32_t len;
    int32_t rows;                     /* > 0 */
    int32_t skip;                     /* bytes from the end of a row to the next */
} two_rows;

#if ASSEMBLY

#define ELEMENT_BYTES 50

#define ELEMENT \
    "ldmia r2!, {r0, r1}\n" \
    "ldrsb r12, [r3], #1\n" \
    "mla r4, r0, r12, r4\n" \
    "mla r5, r1, r12, r5\n" \
    "ldrsb r12, [r3], #1\n" \
    "mla r6, r0, r12, r6\n" \
    "mla r7, r1, r12, r7\n" \
    "ldrsb r12, [r3], #1\n" \
    "mla r8, r0, r12, r8\n" \
    "mla r9, r1, r12, r9\n" \
    "ldrsb r12, [r3], #1\n" \
    "mla r10, r0, r12, r10\n" \
    "mla r11, r1, r12, r11\n"

/* The high word of twice a sum times the multiplier in r1, rounded half up by the top bit of the low word. */
#define HIGH_WORD(sum) \
    "smull r12, " sum ", " sum ", r1\n" \
    "lsls r12, r12, #1\n" \
    "adc " sum ", " sum ", #0\n" \
    "add " sum ", " sum ", " sum ", asr #31\n" \
    "asr " sum ", " sum ", r2\n"

#define TWO_OUTPUTS(a, b) \
    "ldmia lr!, {r0, r1, r2}\n" \
    "add " a ", r0, " a ", lsl #1\n" \
    "add " b ", r0, " b ", lsl #1\n" \
    HIGH_WORD(a) HIGH_WORD(b) \
    "ldr r12, [sp, #16]\n" \
    "ldrd r0, r1, [sp, #8]\n" \
    "add " a ", " a ", r12\n" \
    "add " b ", " b ", r12\n" \
    "ssat " a ", #8, " a ", asr #1\n" \
    "ssat " b ", #8, " b ", asr #1\n" \
    "strb " a ", [r0], #1\n" \
    "strb " b ", [r1], #1\n" \
    "strd r0, r1, [sp, #8]\n"

static __attribute__((naked, noinline)) void sum_fours(__attribute__((unused)) fours_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #20\n"
            "str r0, [sp, #4]\n"
            "ldrd r1, r2, [r0, #12]\n"
            "strd r1, r2, [sp, #8]\n"
            "ldr r1, [r0, #32]\n"
            "str r1, [sp, #16]\n"
            "ldr r3, [r0, #4]\n"
            "1:\n"
            "ldr r2, [r0]\n"
            "ldr r1, [r0, #24]\n"
            "ldr r12, [r0, #28]\n"
            "add lr, r3, r1\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "mov r8, r4\n"
            "mov r9, r4\n"
            "mov r10, r4\n"
            "mov r11, r4\n"
            "add pc, r12\n"
            "nop\n"
            "2:\n"
            ELEMENT ELEMENT ELEMENT ELEMENT ELEMENT ELEMENT ELEMENT ELEMENT
            "cmp r3, lr\n"
            "bne.w 2b\n"
            "ldr r0, [sp, #4]\n"
            "ldr lr, [r0, #8]\n"
            TWO_OUTPUTS("r4", "r5") TWO_OUTPUTS("r6", "r7") TWO_OUTPUTS("r8", "r9") TWO_OUTPUTS("r10", "r11")
            "ldr r0, [sp, #4]\n"
            "str lr, [r0, #8]\n"
            "ldr r1, [r0, #20]\n"
            "subs r1, #1\n"
            "str r1, [r0, #20]\n"
            "bne.w 1b\n"
            "str r3, [r0, #4]\n"
            "ldrd r1, r2, [sp, #8]\n"
            "strd r1, r2, [r0, #12]\n"
            "add sp, #20\n"
            "pop {r4-r11, pc}\n");
}

#define TWO_ELEMENTS \
    "ldrsb r4, [r0], #1\n" \
    "ldrsb r5, [r1], #1\n" \
    "ldrsb r6, [r0], #1\n" \
    "ldrsb r7, [r1], #1\n" \
    "stmia r2!, {r4-r7}\n"

static __attribute__((naked, noinline)) void expand_rows(
        __attribute__((unused)) const two_rows *rows, __attribute__((unused)) int32_t *x)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "mov r2, r1\n"
            "ldm r0, {r0, r1, r8, r9, r10}\n"
            "and r11, r8, #1\n"
            "1:\n"
            "cmp r11, #0\n"
            "beq 3f\n"
            "ldrsb r4, [r0], #1\n"
            "ldrsb r5, [r1], #1\n"
            "stmia r2!, {r4, r5}\n"
            "3:\n"
            "lsrs r3, r8, #2\n"
            "tst r8, #2\n"
            "beq 4f\n"
            TWO_ELEMENTS
            "4:\n"
            "cbz r3, 6f\n"
            "5:\n"
            TWO_ELEMENTS TWO_ELEMENTS
            "subs r3, #1\n"
            "bne 5b\n"
            "6:\n"
            "add r0, r10\n"
            "add r1, r10\n"
            "subs r9, #1\n"
            "bne 1b\n"
            "pop {r4-r11, pc}\n");
}

/* Eight elements are unrolled; the first round starts so far in that the rounds after it are whole. */
static int32_t entry_for(int32_t elements)
{
    return (-elements & 7) * ELEMENT_BYTES;
}

#else

static void sum_fours(fours_job *job)
{
    const int32_t elements = job->four_bytes / 4;
    for (; job->fours != 0; job->fours--, job->weights += job->four_bytes) {
        for (int32_t filter = 0; filter < 4; filter++, job->channels++) {
            int32_t sum0 = 0, sum1 = 0;
            for (int32_t k = 0; k < elements; k++) {
                sum0 += job->weights[4 * k + filter] * job->x[2 * k];
                sum1 += job->weights[4 * k + filter] * job->x[2 * k + 1];
            }
            *job->out0++ = ec_channel_output(job->channels, 2 * sum0, job->twice_zero_point);
            *job->out1++ = ec_channel_output(job->channels, 2 * sum1, job->twice_zero_point);
        }
    }
}

static void expand_rows(const two_rows *rows, int32_t *x)
{
    for (int32_t row = 0; row < rows->rows; row++) {
        const int8_t *a = rows->a + row * (rows->len + rows->skip), *b = rows->b + (a - rows->a);
        for (int32_t k = 0; k < rows->len; k++) {
            *x++ = a[k];
            *x++ = b[k];
        }
    }
}

static int32_t entry_for(int32_t elements)
{
    (void)elements;
    return 0;
}

#endif

typedef struct {
    const ec_conv_params *p;
    ec_runs runs;
    int32_t row_len;                  /* elements of a row of taps */
    const int8_t *weights;
    const ec_channel *channels;
    int32_t *x;
    fours_job job;
} layer;

/* `count` words of padding, `step` apart. */
static void fill(int32_t *x, int32_t count, int32_t step, int32_t padding)
{
    EC_ROLLED
    for (; count > 0; count--, x += step)
        *x = padding;
}

/* Rows of two windows that need no padding in these. */
static void expand_two(const layer *l, const int8_t *a, const int8_t *b, int32_t rows, int32_t *x)
{
    two_rows part = { a, b, l->runs.len, rows, l->runs.row_stride - l->runs.len };
    if (l->runs.count == 1) {
        expand_rows(&part, x);
        return;
    }
    part.rows = 1;
    for (; rows != 0; rows--, a += l->runs.row_stride, b += l->runs.row_stride) {
        part.a = a;
        part.b = b;
        for (int32_t n = l->runs.count; n != 0; n--, part.a += l->runs.stride, part.b += l->runs.stride, x += 2 * l->runs.len)
            expand_rows(&part, x);
    }
}

/* Rows of a window that may leave the image at its sides, into the words of one pixel; `row` may point beside the image. */
static __attribute__((noinline)) void expand_one(const layer *l, const int8_t *row, int32_t column, int32_t rows, int32_t *x)
{
    const int32_t len = l->runs.len;
    for (int32_t run = 0; run < l->runs.count; run++, column += l->p->dilation_w, row += l->runs.stride, x += 2 * len) {
        const ec_taps_range part = ec_part_inside(l->p, &l->runs, column);
        const int32_t first = part.first < len ? part.first : len;
        const int8_t *from = row;
        int32_t *to = x;
        for (int32_t n = rows; n != 0; n--, from += l->runs.row_stride, to += 2 * l->row_len) {
            fill(to, first, 2, l->p->in_zero_point);
            EC_ROLLED
            for (int32_t k = first; k < part.last; k++)
                to[2 * k] = from[k];
            fill(to + 2 * part.last, len - part.last, 2, l->p->in_zero_point);
        }
    }
}

/* Both windows into x: what lies outside the image is padding. Two of one row of outputs that stay within the sides go together. */
static void expand(const layer *l, const ec_place *w, int32_t channel, int32_t *x)
{
    const int32_t padding = l->p->in_zero_point, row_words = 2 * l->row_len;
    if (w[0].y == w[1].y && w[0].sides_inside && w[1].sides_inside) {
        const ec_taps_range rows = ec_rows_inside(l->p, w);
        const int32_t above = rows.first * l->runs.row_stride + channel;
        fill(x, rows.first * row_words, 1, padding);
        if (rows.first < rows.last)
            expand_two(l, w[0].at + above, w[1].at + above, rows.last - rows.first, x + rows.first * row_words);
        fill(x + rows.last * row_words, (l->p->filter_h - rows.last) * row_words, 1, padding);
        return;
    }
    for (int32_t pixel = 0; pixel < 2; pixel++, x++, w++) {
        const ec_taps_range rows = ec_rows_inside(l->p, w);
        fill(x, rows.first * l->row_len, 2, padding);
        expand_one(l, w->at + rows.first * l->runs.row_stride + channel, w->x, rows.last - rows.first, x + rows.first * row_words);
        fill(x + rows.last * row_words, (l->p->filter_h - rows.last) * l->row_len, 2, padding);
    }
}

/* All filters of a group on the two pixels in x; leaves the outputs one group further. */
static void sum_group(fours_job *job, int32_t filters)
{
    job->fours = filters >> 2;
    if (job->fours != 0)
        sum_fours(job);
    const int32_t rest = filters & 3;
    if (rest == 0)
        return;
    int8_t first[4], second[4];
    int8_t *const out0 = job->out0, *const out1 = job->out1;
    job->out0 = first;
    job->out1 = second;
    job->fours = 1;
    sum_fours(job);
    for (int32_t i = 0; i < rest; i++) {
        out0[i] = first[i];
        out1[i] = second[i];
    }
    job->out0 = out0 + rest;
    job->out1 = out1 + rest;
}

/* The first group's filters, and where a pair's outputs go. */
static void start_pair(layer *l, int8_t *out0, int8_t *out1)
{
    l->job.weights = l->weights;
    l->job.channels = l->channels;
    l->job.out0 = out0;
    l->job.out1 = out1;
}

/* One pixel of the input for each of the output: nothing is padded, and all pixels are one row. */
static void convolve_pixels(layer *l, const int8_t *in, int32_t pixels, int8_t *out)
{
    const int32_t in_c = l->p->in.c, out_c = l->p->out.c;
    for (; pixels > 0; pixels -= 2, in += 2 * in_c, out += 2 * out_c) {
        const bool two = pixels > 1;
        expand_two(l, in, two ? in + in_c : in, 1, l->x);
        start_pair(l, out, two ? out + out_c : out);
        sum_group(&l->job, out_c);
    }
}

static void convolve_windows(layer *l, const int8_t *in, int32_t pixels, int8_t *out)
{
    const ec_conv_params *p = l->p;
    ec_places places = ec_first_place(p, in);
    for (; pixels > 0; pixels -= 2, out += 2 * p->out.c) {
        const bool two = pixels > 1;
        ec_place w[2];
        w[0] = ec_next_place(&places);
        w[1] = two ? ec_next_place(&places) : w[0];
        start_pair(l, out, two ? out + p->out.c : out);
        for (int32_t channel = 0; channel < p->in.c; channel += p->filter_c) {
            expand(l, w, channel, l->x);
            sum_group(&l->job, p->filters_per_group);
        }
    }
}

void ec_conv2d_thumb2_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    ec_channel *const channels = (ec_channel *)(void *)scratch;
    const int32_t groups = p->in.c / p->filter_c;
    const int32_t pixels = p->batches * p->out.h * p->out.w;
    const int32_t elements = p->filter_h * p->filter_w * p->filter_c;
    layer l = {
        .p = p,
        .runs = ec_runs_of(p),
        .row_len = p->filter_w * p->filter_c,
        .weights = weights,
        .channels = channels,
        .x = (int32_t *)(void *)ec_fill_channels(channels, data, groups, p->filters_per_group),
        .job = { .four_bytes = 4 * elements, .entry = entry_for(elements), .twice_zero_point = 2 * p->out_zero_point + 1 },
    };
    l.job.x = l.x;
    if (p->filter_h * p->filter_w == 1 && p->stride_h * p->stride_w == 1 && groups == 1)
        convolve_pixels(&l, in, pixels, out);
    else
        convolve_windows(&l, in, pixels, out);
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < pixels * p->out.c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
