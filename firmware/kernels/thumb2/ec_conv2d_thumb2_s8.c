/* 2D convolution, int8, for Thumb-2 without DSP: four pixels against two filters at a time.
 *
 * The windows of four pixels are expanded to words, those of an element side by side. A step loads two of them at a time and meets them with
 * the two weights of the element: 12 instructions for 8 products. */
#include "ec_thumb2.h"
#include "ec_windows.h"

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2
#define ASSEMBLY 1
#else
#define ASSEMBLY 0
#endif

#define PIXELS 4

/* The arguments of sum_twos, in the order in which its assembly finds them. */
typedef struct {
    const int32_t *x;                 /* 0: [elements][4] */
    const int8_t *weights;            /* 4: [twos][elements][2]; moved on */
    const ec_channel *channels;       /* 8: moved on by two a two */
    int8_t *out;                      /* 12: of the first pixel; moved on by two a two */
    int32_t out_step;                 /* 16: from a pixel to the next */
    int32_t twos;                     /* 20: of filters, > 0; 0 afterwards */
    int32_t two_bytes;                /* 24: of weights, 2 * elements */
    int32_t entry;                    /* 28: entry_for(elements) */
    int32_t twice_zero_point;         /* 32: 2 * out_zero_point + 1 */
} twos_job;

/* Rows of bytes of four pixels, to be expanded. */
typedef struct {
    const int8_t *from[PIXELS];
    int32_t len;
    int32_t rows;                     /* > 0 */
    int32_t skip;                     /* bytes from the end of a row to the next */
} four_rows;

#if ASSEMBLY

#define ELEMENT_BYTES 44

#define ELEMENT \
    "ldrsb r12, [r3], #1\n" \
    "ldrsb lr, [r3], #1\n" \
    "ldmia r2!, {r0, r1}\n" \
    "mla r4, r0, r12, r4\n" \
    "mla r8, r0, lr, r8\n" \
    "mla r5, r1, r12, r5\n" \
    "mla r9, r1, lr, r9\n" \
    "ldmia r2!, {r0, r1}\n" \
    "mla r6, r0, r12, r6\n" \
    "mla r10, r0, lr, r10\n" \
    "mla r7, r1, r12, r7\n" \
    "mla r11, r1, lr, r11\n"

/* Twice a sum and its bias (r0) times the multiplier (r1): the high word, rounded by the top bit of the low one, and shifted (r2). */
#define SCALED(sum) \
    "add " sum ", r0, " sum ", lsl #1\n" \
    "smull r12, " sum ", " sum ", r1\n" \
    "add " sum ", " sum ", r12, lsr #31\n" \
    "add " sum ", " sum ", " sum ", asr #31\n" \
    "asr " sum ", " sum ", r2\n"

#define STORED(sum, place) \
    "add " sum ", " sum ", r3\n" \
    "ssat " sum ", #8, " sum ", asr #1\n" \
    "strb " sum ", [" place "]\n"

/* One filter's outputs: channels at lr, the job at sp. */
#define FILTER(a, b, c, d) \
    "ldm lr!, {r0, r1, r2}\n" \
    SCALED(a) SCALED(b) SCALED(c) SCALED(d) \
    "ldr r2, [sp]\n" \
    "ldrd r0, r1, [r2, #12]\n" \
    STORED(a, "r0") STORED(b, "r0, r1") STORED(c, "r0, r1, lsl #1") \
    "add r12, r0, r1\n" \
    STORED(d, "r12, r1, lsl #1") \
    "add r0, #1\n" \
    "str r0, [r2, #12]\n"

static __attribute__((naked, noinline)) void sum_twos(__attribute__((unused)) twos_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #8\n"
            "str r0, [sp]\n"
            "ldr r3, [r0, #4]\n"
            "1:\n"
            "ldr r2, [r0]\n"
            "ldrd r1, r12, [r0, #24]\n"
            "add r1, r3\n"
            "str r1, [sp, #4]\n"
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
            "ldr r0, [sp, #4]\n"
            "cmp r3, r0\n"
            "bne.w 2b\n"
            "ldr r0, [sp]\n"
            "str r3, [r0, #4]\n"
            "ldr r3, [r0, #32]\n"
            "ldr lr, [r0, #8]\n"
            FILTER("r4", "r5", "r6", "r7") FILTER("r8", "r9", "r10", "r11")
            "ldr r0, [sp]\n"
            "ldr r3, [r0, #4]\n"
            "str lr, [r0, #8]\n"
            "ldr r1, [r0, #20]\n"
            "subs r1, #1\n"
            "str r1, [r0, #20]\n"
            "bne.w 1b\n"
            "add sp, #8\n"
            "pop {r4-r11, pc}\n");
}

#define FOUR_PIXELS \
    "ldrsb r4, [r0], #1\n" \
    "ldrsb r5, [r1], #1\n" \
    "ldrsb r6, [r2], #1\n" \
    "ldrsb r7, [r3], #1\n" \
    "stmia r12!, {r4-r7}\n"

static __attribute__((naked, noinline)) void expand_rows(
        __attribute__((unused)) const four_rows *rows, __attribute__((unused)) int32_t *x)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "mov r12, r1\n"
            "ldm r0, {r0, r1, r2, r3, r8, r9, r10}\n"
            "1:\n"
            "lsrs r11, r8, #2\n"
            "ands lr, r8, #3\n"
            "beq 3f\n"
            "2:\n"
            FOUR_PIXELS
            "subs lr, #1\n"
            "bne 2b\n"
            "3:\n"
            "cmp r11, #0\n"
            "beq 5f\n"
            "4:\n"
            FOUR_PIXELS FOUR_PIXELS FOUR_PIXELS FOUR_PIXELS
            "subs r11, #1\n"
            "bne 4b\n"
            "5:\n"
            "add r0, r10\n"
            "add r1, r10\n"
            "add r2, r10\n"
            "add r3, r10\n"
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

static void sum_twos(twos_job *job)
{
    const int32_t elements = job->two_bytes / 2;
    for (; job->twos != 0; job->twos--, job->weights += job->two_bytes) {
        for (int32_t filter = 0; filter < 2; filter++, job->channels++, job->out++) {
            for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
                int32_t sum = 0;
                for (int32_t k = 0; k < elements; k++)
                    sum += job->weights[2 * k + filter] * job->x[PIXELS * k + pixel];
                job->out[pixel * job->out_step] = ec_channel_output(job->channels, 2 * sum, job->twice_zero_point);
            }
        }
    }
}

static void expand_rows(const four_rows *rows, int32_t *x)
{
    for (int32_t row = 0; row < rows->rows; row++)
        for (int32_t k = 0; k < rows->len; k++)
            for (int32_t pixel = 0; pixel < PIXELS; pixel++)
                *x++ = rows->from[pixel][row * (rows->len + rows->skip) + k];
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
    int8_t *last;                     /* [4][out.c]: outputs of the last pixels, where they are no four */
    twos_job job;
} layer;

/* `count` words of padding, `step` apart. */
static void fill(int32_t *x, int32_t count, int32_t step, int32_t padding)
{
    EC_ROLLED
    for (; count > 0; count--, x += step)
        *x = padding;
}

/* Rows of four windows that need no padding in these. */
static void expand_four(const layer *l, const four_rows *first, int32_t *x)
{
    four_rows part = *first;
    part.len = l->runs.len;
    part.skip = l->runs.row_stride - l->runs.len;
    if (l->runs.count == 1) {
        expand_rows(&part, x);
        return;
    }
    part.rows = 1;
    for (int32_t row = 0; row < first->rows; row++) {
        for (int32_t run = 0; run < l->runs.count; run++, x += PIXELS * l->runs.len) {
            const int32_t on = row * l->runs.row_stride + run * l->runs.stride;
            for (int32_t pixel = 0; pixel < PIXELS; pixel++)
                part.from[pixel] = first->from[pixel] + on;
            expand_rows(&part, x);
        }
    }
}

/* Rows of a window that may leave the image at its sides, into the words of one pixel; `row` may point beside the image. */
static __attribute__((noinline)) void expand_one(const layer *l, const int8_t *row, int32_t column, int32_t rows, int32_t *x)
{
    const int32_t len = l->runs.len;
    for (int32_t run = 0; run < l->runs.count; run++, column += l->p->dilation_w, row += l->runs.stride, x += PIXELS * len) {
        const ec_taps_range part = ec_part_inside(l->p, &l->runs, column);
        const int32_t first = part.first < len ? part.first : len;
        const int8_t *from = row;
        int32_t *to = x;
        for (int32_t n = rows; n != 0; n--, from += l->runs.row_stride, to += PIXELS * l->row_len) {
            fill(to, first, PIXELS, l->p->in_zero_point);
            EC_ROLLED
            for (int32_t k = first; k < part.last; k++)
                to[PIXELS * k] = from[k];
            fill(to + PIXELS * part.last, len - part.last, PIXELS, l->p->in_zero_point);
        }
    }
}

/* The window of one pixel into its words: what lies outside the image is padding. */
static void expand_window(const layer *l, const ec_place *w, int32_t channel, int32_t *x)
{
    const int32_t padding = l->p->in_zero_point, row_words = PIXELS * l->row_len;
    const ec_taps_range rows = ec_rows_inside(l->p, w);
    fill(x, rows.first * l->row_len, PIXELS, padding);
    expand_one(l, w->at + rows.first * l->runs.row_stride + channel, w->x, rows.last - rows.first, x + rows.first * row_words);
    fill(x + rows.last * row_words, (l->p->filter_h - rows.last) * l->row_len, PIXELS, padding);
}

/* Four windows into x. Where the same rows of taps are inside the image they go together, and one that leaves its sides is written over. */
static void expand(const layer *l, const ec_place w[PIXELS], int32_t channel, int32_t *x)
{
    const int32_t row_words = PIXELS * l->row_len;
    const ec_place *inside = NULL;
    bool together = true;
    for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
        together = together && (w[pixel].y == w[0].y || (w[pixel].rows_inside && w[0].rows_inside));
        inside = w[pixel].sides_inside ? w + pixel : inside;
    }
    together = together && inside != NULL;
    if (together) {
        const ec_taps_range rows = ec_rows_inside(l->p, w);
        four_rows part = { .rows = rows.last - rows.first };
        for (int32_t pixel = 0; pixel < PIXELS; pixel++)
            part.from[pixel] = (w[pixel].sides_inside ? w[pixel].at : inside->at) + rows.first * l->runs.row_stride + channel;
        fill(x, rows.first * row_words, 1, l->p->in_zero_point);
        if (part.rows > 0)
            expand_four(l, &part, x + rows.first * row_words);
        fill(x + rows.last * row_words, (l->p->filter_h - rows.last) * row_words, 1, l->p->in_zero_point);
    }
    for (int32_t pixel = 0; pixel < PIXELS; pixel++)
        if (!together || !w[pixel].sides_inside)
            expand_window(l, w + pixel, channel, x + pixel);
}

/* All filters of a group on the four pixels in x; leaves the outputs one group further. */
static void sum_group(twos_job *job, int32_t filters)
{
    job->twos = filters >> 1;
    if (job->twos != 0)
        sum_twos(job);
    if ((filters & 1) == 0)
        return;
    int8_t two[2 * PIXELS];
    int8_t *const out = job->out;
    const int32_t step = job->out_step;
    job->out = two;
    job->out_step = 2;
    job->twos = 1;
    sum_twos(job);
    for (int32_t pixel = 0; pixel < PIXELS; pixel++)
        out[pixel * step] = two[2 * pixel];
    job->out = out + 1;
    job->out_step = step;
}

/* The first group's filters; `pixels` that are left. */
static void start_four(layer *l, int32_t pixels, int8_t *out)
{
    l->job.weights = l->weights;
    l->job.channels = l->channels;
    l->job.out = pixels < PIXELS ? l->last : out;
}

/* The last pixels from where they were written to their place. */
static void finish_four(const layer *l, int32_t pixels, int8_t *out)
{
    if (pixels < PIXELS)
        for (int32_t i = 0; i < pixels * l->p->out.c; i++)
            out[i] = l->last[i];
}

/* One pixel of the input for each of the output: nothing is padded, and all pixels are one row. */
static void convolve_pixels(layer *l, const int8_t *in, int32_t pixels, int8_t *out)
{
    const int32_t in_c = l->p->in.c, out_c = l->p->out.c;
    for (; pixels > 0; pixels -= PIXELS, in += PIXELS * in_c, out += PIXELS * out_c) {
        four_rows part = { .rows = 1 };
        for (int32_t pixel = 0; pixel < PIXELS; pixel++)
            part.from[pixel] = in + (pixel < pixels ? pixel : 0) * in_c;
        expand_four(l, &part, l->x);
        start_four(l, pixels, out);
        sum_group(&l->job, out_c);
        finish_four(l, pixels, out);
    }
}

static void convolve_windows(layer *l, const int8_t *in, int32_t pixels, int8_t *out)
{
    const ec_conv_params *p = l->p;
    const int32_t rest = -p->filters_per_group & 3;
    ec_places places = ec_first_place(p, in);
    for (; pixels > 0; pixels -= PIXELS, out += PIXELS * p->out.c) {
        ec_place w[PIXELS];
        for (int32_t pixel = 0; pixel < PIXELS; pixel++)
            w[pixel] = pixel < pixels ? ec_next_place(&places) : w[0];
        start_four(l, pixels, out);
        for (int32_t channel = 0; channel < p->in.c; channel += p->filter_c) {
            expand(l, w, channel, l->x);
            sum_group(&l->job, p->filters_per_group);
            l->job.channels += rest & 2;
        }
        finish_four(l, pixels, out);
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
        .job = {
            .out_step = p->out.c, .two_bytes = 2 * elements, .entry = entry_for(elements), .twice_zero_point = 2 * p->out_zero_point + 1,
        },
    };
    l.job.x = l.x;
    l.last = (int8_t *)(l.x + PIXELS * elements);
    if (p->filter_h * p->filter_w == 1 && p->stride_h * p->stride_w == 1 && groups == 1)
        convolve_pixels(&l, in, pixels, out);
    else
        convolve_windows(&l, in, pixels, out);
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < pixels * p->out.c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
