/* 2D convolution, int8, for 16-bit Thumb: five pixels against one filter after the other.
 *
 * The five windows are expanded to words, element by element, so that one LDM loads what five MULS destroy; the sums stay in high registers,
 * which ADD reaches: 12 instructions for 5 products. Weights are w + 128, so sums start at -128 * (sum of the window). */
#include "ec_thumb1.h"
#include "ec_thumb1_scale.h"
#include "ec_windows.h"

#define PIXELS EC_THUMB1_PIXELS

/* The arguments of sum_filters, in the order in which its assembly finds them. */
typedef struct {
    const int32_t *x;                 /* 0: [elements][PIXELS] */
    const uint8_t *weights;           /* 4: of the first filter */
    int32_t elements;                 /* 8: of a part of the windows */
    int32_t skip;                     /* 12: -elements modulo 16 */
    int32_t entry;                    /* 16: bytes of code of `skip` elements */
    int32_t *sums;                    /* 20: [filters][PIXELS]; moved on */
    int32_t filters;                  /* 24: > 0; 0 afterwards */
    const int32_t *from;              /* 28: PIXELS sums to start from; moved on */
    int32_t from_back;                /* 32: bytes; their size where all filters start alike, else 0 */
    int32_t gap;                      /* 36: bytes from a filter's part to the next filter's */
} sum_job;

#if EC_THUMB1_ASSEMBLY

#define ELEMENT_BYTES 24

#define ELEMENT(k) \
    "ldrb r6, [r7, #" #k "]\n" \
    "ldm r5!, {r0, r1, r2, r3, r4}\n" \
    "muls r0, r6, r0\n" \
    "add r8, r0\n" \
    "muls r1, r6, r1\n" \
    "add r9, r1\n" \
    "muls r2, r6, r2\n" \
    "add r10, r2\n" \
    "muls r3, r6, r3\n" \
    "add r11, r3\n" \
    "muls r4, r6, r4\n" \
    "add r12, r4\n"

/* Sixteen elements are unrolled; the first round starts so far in that the rounds after it are whole. */
static __attribute__((naked, noinline)) void sum_filters(__attribute__((unused)) sum_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4, r5, r6, r7, lr}\n"
            "mov r4, r8\n"
            "mov r5, r9\n"
            "mov r6, r10\n"
            "mov r7, r11\n"
            "push {r0, r4, r5, r6, r7}\n"
            "ldr r7, [r0, #4]\n"
            "1:\n"
            "ldr r6, [sp]\n"
            "ldr r0, [r6, #8]\n"
            "adds r0, r0, r7\n"
            "mov lr, r0\n"
            "ldr r0, [r6, #12]\n"
            "subs r7, r7, r0\n"
            "ldr r0, [r6, #28]\n"
            "ldm r0!, {r1, r2, r3, r4, r5}\n"
            "mov r8, r1\n"
            "ldr r1, [r6, #32]\n"
            "subs r0, r0, r1\n"
            "str r0, [r6, #28]\n"
            "mov r9, r2\n"
            "mov r10, r3\n"
            "mov r11, r4\n"
            "mov r12, r5\n"
            "ldr r5, [r6]\n"
            "ldr r0, [r6, #16]\n"
            "add pc, r0\n"
            "nop\n"
            "2:\n"
            ELEMENT(0) ELEMENT(1) ELEMENT(2) ELEMENT(3) ELEMENT(4) ELEMENT(5) ELEMENT(6) ELEMENT(7)
            ELEMENT(8) ELEMENT(9) ELEMENT(10) ELEMENT(11) ELEMENT(12) ELEMENT(13) ELEMENT(14) ELEMENT(15)
            "adds r7, #16\n"
            "cmp r7, lr\n"
            "beq 3f\n"
            "b 2b\n"
            "3:\n"
            "ldr r6, [sp]\n"
            "ldr r0, [r6, #36]\n"
            "adds r7, r7, r0\n"
            "mov r0, r8\n"
            "mov r1, r9\n"
            "mov r2, r10\n"
            "mov r3, r11\n"
            "mov r4, r12\n"
            "ldr r5, [r6, #20]\n"
            "stm r5!, {r0, r1, r2, r3, r4}\n"
            "str r5, [r6, #20]\n"
            "ldr r0, [r6, #24]\n"
            "subs r0, #1\n"
            "str r0, [r6, #24]\n"
            "beq 4f\n"
            "b 1b\n"
            "4:\n"
            "pop {r0, r4, r5, r6, r7}\n"
            "mov r8, r4\n"
            "mov r9, r5\n"
            "mov r10, r6\n"
            "mov r11, r7\n"
            "pop {r4, r5, r6, r7, pc}\n");
}

/* `len` bytes to every fifth word; their sum. */
static __attribute__((naked, noinline)) int32_t expand_run(
        __attribute__((unused)) const int8_t *from, __attribute__((unused)) int32_t len, __attribute__((unused)) int32_t *to)
{
    __asm__(".syntax unified\n"
            "push {r4, r5, r6, r7, lr}\n"
            "adds r4, r0, r1\n"
            "movs r5, #3\n"
            "ands r5, r1\n"
            "movs r1, r2\n"
            "movs r3, #0\n"
            "movs r7, #0\n"
            "1:\n"
            "cmp r5, #0\n"
            "beq 2f\n"
            "ldrsb r2, [r0, r7]\n"
            "str r2, [r1]\n"
            "adds r3, r3, r2\n"
            "adds r0, #1\n"
            "adds r1, #20\n"
            "subs r5, #1\n"
            "b 1b\n"
            "2:\n"
            "cmp r0, r4\n"
            "beq 4f\n"
            "mov r12, r4\n"
            "movs r4, #1\n"
            "movs r5, #2\n"
            "movs r6, #3\n"
            "3:\n"
            "ldrsb r2, [r0, r7]\n"
            "str r2, [r1]\n"
            "adds r3, r3, r2\n"
            "ldrsb r2, [r0, r4]\n"
            "str r2, [r1, #20]\n"
            "adds r3, r3, r2\n"
            "ldrsb r2, [r0, r5]\n"
            "str r2, [r1, #40]\n"
            "adds r3, r3, r2\n"
            "ldrsb r2, [r0, r6]\n"
            "str r2, [r1, #60]\n"
            "adds r3, r3, r2\n"
            "adds r0, #4\n"
            "adds r1, #80\n"
            "cmp r0, r12\n"
            "bne 3b\n"
            "4:\n"
            "movs r0, r3\n"
            "pop {r4, r5, r6, r7, pc}\n");
}

#else

#define ELEMENT_BYTES 0

static void sum_filters(sum_job *job)
{
    const uint8_t *weights = job->weights;
    for (; job->filters != 0; job->filters--) {
        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            int32_t sum = job->from[pixel];
            for (int32_t k = 0; k < job->elements; k++)
                sum += weights[k] * job->x[PIXELS * k + pixel];
            *job->sums++ = sum;
        }
        job->from += PIXELS - job->from_back / 4;
        weights += job->elements + job->gap;
    }
}

/* `len` bytes to every fifth word; their sum. */
static int32_t expand_run(const int8_t *from, int32_t len, int32_t *to)
{
    int32_t sum = 0;
    for (; len != 0; len--, to += PIXELS)
        sum += *to = *from++;
    return sum;
}

#endif

typedef struct {
    const ec_conv_params *p;
    ec_runs runs;
    int32_t row_len;                  /* elements of a row of taps */
    int32_t rows;                     /* of taps that are in x at once */
    int32_t *sums;                    /* [filters_per_group][PIXELS] */
    int32_t *x;                       /* [rows][row_len][PIXELS] */
} layer;

static int32_t fill(int32_t *to, int32_t count, int32_t padding)
{
    EC_ROLLED
    for (int32_t n = count; n > 0; n--, to += PIXELS)
        *to = padding;
    return count > 0 ? count * padding : 0;
}

/* A row of a window that may leave the image at its sides; `row` may point beside the image. */
EC_OUT_OF_LINE int32_t expand_row(const layer *l, const int8_t *row, int32_t column, int32_t *x)
{
    const int32_t len = l->runs.len, padding = l->p->in_zero_point;
    int32_t sum = 0;
    for (int32_t run = 0; run < l->runs.count; run++, column += l->p->dilation_w, row += l->runs.stride, x += PIXELS * len) {
        const ec_taps_range part = ec_part_inside(l->p, &l->runs, column);
        const int32_t first = part.first < len ? part.first : len, last = part.last > first ? part.last : first;
        sum += fill(x, first, padding);
        sum += expand_run(row + first, last - first, x + PIXELS * first);
        sum += fill(x + PIXELS * last, len - last, padding);
    }
    return sum;
}

/* Some rows of a window into the words of one pixel: what lies outside the image is padding. Returns their sum. */
EC_OUT_OF_LINE int32_t expand(const layer *l, const ec_place *w, ec_taps_range inside, int32_t first, int32_t rows, int32_t channel, int32_t *x)
{
    const int8_t *row = w->at + first * l->runs.row_stride + channel;
    int32_t sum = 0;
    for (int32_t y = first; y < first + rows; y++, row += l->runs.row_stride, x += PIXELS * l->row_len) {
        if (y < inside.first || y >= inside.last)
            sum += fill(x, l->row_len, l->p->in_zero_point);
        else
            sum += w->sides_inside && l->runs.count == 1 ? expand_run(row, l->runs.len, x) : expand_row(l, row, w->x, x);
    }
    return sum;
}

/* All filters of a group on some rows of the windows; `start` holds the sums of these windows, times -128. */
static void sum_rows(const layer *l, const uint8_t *weights, int32_t rows, const int32_t *start, bool first)
{
    const int32_t filters = l->p->filters_per_group, elements = rows * l->row_len;
    if (!first) {
        int32_t *sums = l->sums;
        EC_ROLLED
        for (int32_t n = filters; n != 0; n--, sums += PIXELS) {
            sums[0] += start[0];
            sums[1] += start[1];
            sums[2] += start[2];
            sums[3] += start[3];
            sums[4] += start[4];
        }
    }
    sum_job job = {
        l->x, weights, elements, -elements & 15, (-elements & 15) * ELEMENT_BYTES, l->sums, filters,
        first ? start : l->sums, first ? 4 * PIXELS : 0, l->p->filter_h * l->row_len - elements,
    };
    sum_filters(&job);
}

/* All filters of a group on five windows, as many rows at a time as are wanted at once. */
EC_OUT_OF_LINE void sum_group(const layer *l, const ec_place *w, int32_t channel, const uint8_t *weights)
{
    ec_taps_range inside[PIXELS];
    EC_ROLLED
    for (int32_t i = 0; i < PIXELS; i++)
        inside[i] = ec_rows_inside(l->p, &w[i]);
    for (int32_t row = 0; row < l->p->filter_h; row += l->rows) {
        const int32_t left = l->p->filter_h - row, rows = left < l->rows ? left : l->rows;
        int32_t start[PIXELS];
        EC_ROLLED
        for (int32_t i = 0; i < PIXELS; i++)
            start[i] = -128 * expand(l, &w[i], inside[i], row, rows, channel, l->x + i);
        sum_rows(l, weights + row * l->row_len, rows, start, row == 0);
    }
}

void ec_conv2d_thumb1_s8(
        const ec_conv_params *p, int32_t rows, const int8_t *in, const uint8_t *weights, const ec_channel_data *data, int8_t *scratch,
        int8_t *out)
{
    ec_channel *const channels = (ec_channel *)(void *)scratch;
    const int32_t all = p->batches * p->out.h * p->out.w;
    const int32_t elements = p->filter_h * p->filter_w * p->filter_c;
    layer l = { .p = p, .runs = ec_runs_of(p), .row_len = p->filter_w * p->filter_c, .rows = rows };
    l.sums = (int32_t *)(void *)ec_fill_channels(channels, data, p->in.c / p->filter_c, p->filters_per_group);
    l.x = l.sums + PIXELS * p->filters_per_group;
    ec_places places = ec_first_place(p, in);
    int8_t *at = out;
    for (int32_t left = all; left > 0; left -= PIXELS, at += PIXELS * p->out.c) {
        const int32_t pixels = left < PIXELS ? left : PIXELS;
        ec_place w[PIXELS];
        EC_ROLLED
        for (int32_t i = 0; i < PIXELS; i++)
            w[i] = i < pixels ? ec_next_place(&places) : w[0];
        const uint8_t *group = weights;
        ec_thumb1_scaling scaling = { 0, channels, at, 0, 4 * pixels, p->out.c, 2 * p->out_zero_point + 1, EC_THUMB1_MIDDLE };
        for (int32_t channel = 0; channel < p->in.c; channel += p->filter_c, group += p->filters_per_group * elements) {
            sum_group(&l, w, channel, group);
            scaling.sums = l.sums;
            scaling.filters = p->filters_per_group;
            ec_thumb1_scale(&scaling);
            scaling.channels += -p->filters_per_group & 3;
        }
    }
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < all * p->out.c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
