/* Depthwise 2D convolution, int8, for Thumb-2 without DSP: four or five pixels of a row against one channel after the other.
 *
 * Input rows are copied once, with the padding around them, into a ring in scratch, so that no window leaves it. Columns lie C bytes apart,
 * which LDRSB takes from one register as C, 2 C, 4 C and 8 C. For 3x3 each input byte is loaded once for all pixels that it meets: 15
 * products in 29 instructions at stride 1. Other filters go tap by tap. A channel's weights lie side by side. */
#include "ec_thumb2.h"
#include "ec_memory.h"

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2
#define ASSEMBLY 1
#else
#define ASSEMBLY 0
#endif

#define FOUR 4
#define FIVE 5

/* The arguments of the loops over channels, in the order in which their assembly copies them to its stack. */
typedef struct {
    const int32_t *rows;              /* 0: [filter_h], bytes from the ring's start to a row of it, or to the row of padding */
    const int8_t *weights;            /* 4: [channels][filter_h][filter_w] */
    int32_t channels;                 /* 8: bytes from a column to the next */
    const int8_t *at, *at_end;        /* 12, 16: the first channel of the first window in the ring's first row, and its last one's end */
    const ec_channel *scales;         /* 20 */
    int8_t *out;                      /* 24 */
    int32_t twice_zero_point;         /* 28: 2 * out_zero_point + 1 */
    int32_t taps;                     /* 32: in a row of the filter; these four are for any filter */
    const int32_t *rows_end;          /* 36 */
    int32_t pixel_step, tap_step;     /* 40, 44: bytes from a pixel's window to the next, from a tap to the next */
} channels_job;

#if ASSEMBLY

/* r0 a place in a row, r1 C, r2 weights, r3 rows, lr the window's place; sums from r4 on; r9 to r11 a row of weights, r12 an input. */
#define ROW_START(n) \
    "ldr r0, [r3, #" #n "]\n" \
    "ldrsb r9, [r2], #1\n" \
    "ldrsb r10, [r2], #1\n" \
    "ldrsb r11, [r2], #1\n" \
    "add r0, lr\n"

#define COLUMN(place) "ldrsb r12, [r0" place "]\n"
#define ADD(sum, w) "mla " sum ", r12, " w ", " sum "\n"
#define START(sum, w) "mul " sum ", r12, " w "\n"

/* Columns 0, 1, 2 and 4 from the first; 3 and 5 from the second. */
#define ROW_OF_FOUR(n, BEGIN) \
    ROW_START(n) \
    COLUMN("") BEGIN("r4", "r9") \
    COLUMN(", r1") ADD("r4", "r10") BEGIN("r5", "r9") \
    COLUMN(", r1, lsl #1") ADD("r4", "r11") ADD("r5", "r10") BEGIN("r6", "r9") \
    COLUMN(", r1, lsl #2") ADD("r6", "r11") BEGIN("r7", "r10") \
    "add r0, r1\n" \
    COLUMN(", r1, lsl #1") ADD("r5", "r11") ADD("r6", "r10") ADD("r7", "r9") \
    COLUMN(", r1, lsl #2") ADD("r7", "r11")

/* And 6 from the third. */
#define ROW_OF_FIVE(n, BEGIN) \
    ROW_START(n) \
    COLUMN("") BEGIN("r4", "r9") \
    COLUMN(", r1") ADD("r4", "r10") BEGIN("r5", "r9") \
    COLUMN(", r1, lsl #1") ADD("r4", "r11") ADD("r5", "r10") BEGIN("r6", "r9") \
    COLUMN(", r1, lsl #2") ADD("r6", "r11") BEGIN("r7", "r10") BEGIN("r8", "r9") \
    "add r0, r1\n" \
    COLUMN(", r1, lsl #1") ADD("r5", "r11") ADD("r6", "r10") ADD("r7", "r9") \
    COLUMN(", r1, lsl #2") ADD("r7", "r11") ADD("r8", "r10") \
    "add r0, r1\n" \
    COLUMN(", r1, lsl #2") ADD("r8", "r11")

/* Stride 2: columns 0, 1, 2, 4 and 8 from the first, 3 and 5 from the second, 6 and 7 from the sixth. */
#define ROW_OF_FOUR_APART(n, BEGIN) \
    ROW_START(n) \
    COLUMN("") BEGIN("r4", "r9") \
    COLUMN(", r1") ADD("r4", "r10") \
    COLUMN(", r1, lsl #1") ADD("r4", "r11") BEGIN("r5", "r9") \
    COLUMN(", r1, lsl #2") ADD("r5", "r11") BEGIN("r6", "r9") \
    COLUMN(", r1, lsl #3") BEGIN("r7", "r11") \
    "add r0, r1\n" \
    COLUMN(", r1, lsl #1") ADD("r5", "r10") \
    COLUMN(", r1, lsl #2") ADD("r6", "r10") \
    "add r0, r0, r1, lsl #2\n" \
    COLUMN(", r1") ADD("r6", "r11") ADD("r7", "r9") \
    COLUMN(", r1, lsl #1") ADD("r7", "r10")

#define THREE_ROWS(ROW) ROW(0, START) ROW(4, ADD) ROW(8, ADD)

/* Any filter: r10 from a pixel to the next, r11 from a tap to the next, r12 taps left in the row. */
#define ANY_FILTER \
    "ldrd r10, r11, [sp, #40]\n" \
    "movs r4, #0\n" \
    "movs r5, #0\n" \
    "movs r6, #0\n" \
    "movs r7, #0\n" \
    "2:\n" \
    "ldr r0, [r3], #4\n" \
    "ldr r12, [sp, #32]\n" \
    "add r0, lr\n" \
    "3:\n" \
    "ldrsb r8, [r2], #1\n" \
    "ldrsb r9, [r0]\n" \
    "mla r4, r9, r8, r4\n" \
    "ldrsb r9, [r0, r10]\n" \
    "mla r5, r9, r8, r5\n" \
    "ldrsb r9, [r0, r10, lsl #1]\n" \
    "mla r6, r9, r8, r6\n" \
    "add r9, r0, r10\n" \
    "ldrsb r9, [r9, r10, lsl #1]\n" \
    "mla r7, r9, r8, r7\n" \
    "add r0, r11\n" \
    "subs r12, #1\n" \
    "bne 3b\n" \
    "ldr r9, [sp, #36]\n" \
    "cmp r3, r9\n" \
    "bne 2b\n"

/* A sum to an output: twice the bias in r9, multiplier in r10, shift in r11. The product's high word is rounded by the top bit of the low one. */
#define OUTPUT(sum, place) \
    "add " sum ", r9, " sum ", lsl #1\n" \
    "smull r3, " sum ", " sum ", r10\n" \
    "add " sum ", " sum ", r3, lsr #31\n" \
    "add " sum ", " sum ", " sum ", asr #31\n" \
    "asr " sum ", " sum ", r11\n" \
    "add " sum ", " sum ", r12\n" \
    "ssat " sum ", #8, " sum ", asr #1\n" \
    "strb " sum ", [" place "]\n"

#define FOUR_OUTPUTS \
    OUTPUT("r4", "r0") OUTPUT("r5", "r0, r1") OUTPUT("r6", "r0, r1, lsl #1") \
    "add r4, r0, r1\n" \
    OUTPUT("r7", "r4, r1, lsl #1")

#define CHANNELS_LOOP(sums, outputs) \
    __asm__(".syntax unified\n" \
            "push {r4-r11, lr}\n" \
            "sub sp, #48\n" \
            "ldm r0!, {r1-r6}\n" \
            "stm sp, {r1-r6}\n" \
            "ldm r0, {r1-r6}\n" \
            "add r0, sp, #24\n" \
            "stm r0, {r1-r6}\n" \
            "ldr lr, [sp, #12]\n" \
            "ldrd r2, r1, [sp, #4]\n" \
            "1:\n" \
            "ldr r3, [sp]\n" \
            sums \
            "ldrd r3, r0, [sp, #20]\n" \
            "ldr r12, [sp, #28]\n" \
            "ldm r3!, {r9, r10, r11}\n" \
            "str r3, [sp, #20]\n" \
            outputs \
            "add r0, #1\n" \
            "str r0, [sp, #24]\n" \
            "ldr r0, [sp, #16]\n" \
            "add lr, #1\n" \
            "cmp lr, r0\n" \
            "bne.w 1b\n" \
            "add sp, #48\n" \
            "pop {r4-r11, pc}\n")

static __attribute__((naked, noinline)) void sum_four(__attribute__((unused)) const channels_job *job)
{
    CHANNELS_LOOP(THREE_ROWS(ROW_OF_FOUR), FOUR_OUTPUTS);
}

static __attribute__((naked, noinline)) void sum_five(__attribute__((unused)) const channels_job *job)
{
    CHANNELS_LOOP(THREE_ROWS(ROW_OF_FIVE), FOUR_OUTPUTS OUTPUT("r8", "r0, r1, lsl #2"));
}

static __attribute__((naked, noinline)) void sum_four_apart(__attribute__((unused)) const channels_job *job)
{
    CHANNELS_LOOP(THREE_ROWS(ROW_OF_FOUR_APART), FOUR_OUTPUTS);
}

static __attribute__((naked, noinline)) void sum_four_of_any(__attribute__((unused)) const channels_job *job)
{
    CHANNELS_LOOP(ANY_FILTER, FOUR_OUTPUTS);
}

#else

static void sum_pixels(const channels_job *job, int32_t pixels)
{
    const int8_t *w = job->weights;
    for (int32_t c = 0; c < job->channels; c++, w += job->taps * (job->rows_end - job->rows)) {
        for (int32_t pixel = 0; pixel < pixels; pixel++) {
            const int8_t *weight = w;
            int32_t sum = 0;
            for (const int32_t *row = job->rows; row != job->rows_end; row++)
                for (int32_t tap = 0; tap < job->taps; tap++)
                    sum += *weight++ * job->at[*row + c + pixel * job->pixel_step + tap * job->tap_step];
            job->out[c + pixel * job->channels] = ec_channel_output(job->scales + c, 2 * sum, job->twice_zero_point);
        }
    }
}

static void sum_four(const channels_job *job)
{
    sum_pixels(job, FOUR);
}

static void sum_five(const channels_job *job)
{
    sum_pixels(job, FIVE);
}

static void sum_four_apart(const channels_job *job)
{
    sum_pixels(job, FOUR);
}

static void sum_four_of_any(const channels_job *job)
{
    sum_pixels(job, FOUR);
}

#endif

/* Where things lie in scratch, and the sizes behind it. */
typedef struct {
    const ec_conv_params *p;
    int32_t *rows;                    /* [filter_h] */
    int8_t *ring;                     /* [ring_rows][columns][c], then a row of padding */
    int8_t *narrow;                   /* [4][c]: outputs of a row of less than four */
    int32_t row_bytes;
    int32_t ring_rows;
    int32_t fives;                    /* of pixels in a row of outputs; fours follow */
    enum { THREE, THREE_APART, ANY } filter;
} layer;

/* How many fives leave whole fours of `pixels`; none where they would leave too few. */
static int32_t fives_of(int32_t pixels)
{
    const int32_t fives = pixels & 3;
    return fives * FIVE <= pixels ? fives : 0;
}

static layer describe(const ec_conv_params *p, int8_t *scratch)
{
    layer l;
    const int32_t slots = p->out.w < FOUR ? FOUR : p->out.w;
    const bool three = p->filter_h == 3 && p->filter_w == 3 && p->dilation_w == 1;
    l.p = p;
    l.filter = three && p->stride_w == 1 ? THREE : three && p->stride_w == 2 ? THREE_APART : ANY;
    l.fives = l.filter == THREE ? fives_of(p->out.w) : 0;
    l.row_bytes = ((slots - 1) * p->stride_w + (p->filter_w - 1) * p->dilation_w + 1) * p->in.c;
    l.ring_rows = (p->filter_h - 1) * p->dilation_h + 1;
    l.rows = (int32_t *)(void *)scratch;
    l.ring = (int8_t *)(l.rows + p->filter_h);
    l.narrow = l.ring + (l.ring_rows + 1) * l.row_bytes;
    return l;
}

/* Word by word, wherever both begin. */
static void copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    EC_ROLLED
    for (; bytes >= 4; bytes -= 4, to += 4, from += 4)
        ((ec_unaligned_word *)(void *)to)->word = ec_load_word(from);
    EC_ROLLED
    for (; bytes > 0; bytes--)
        *to++ = *from++;
}

/* One input row into the ring; padded columns stay as they are. */
static void copy_row(const layer *l, const int8_t *from, int8_t *row)
{
    const int32_t padding = l->p->pad_left * l->p->in.c, room = l->row_bytes - padding, bytes = l->p->in.w * l->p->in.c;
    copy(row + padding, from, bytes < room ? bytes : room);
}

static void sum_group(const layer *l, const channels_job *job, bool five)
{
    if (five)
        sum_five(job);
    else if (l->filter == THREE)
        sum_four(job);
    else if (l->filter == THREE_APART)
        sum_four_apart(job);
    else
        sum_four_of_any(job);
}

/* One row of outputs from the rows that stand in l->rows. The last four are some of those before it again, where fours do not fit. */
static void convolve_row(const layer *l, channels_job job, int8_t *out)
{
    const ec_conv_params *p = l->p;
    const int32_t c = p->in.c, step = job.pixel_step;
    if (p->out.w < FOUR) {
        job.out = l->narrow;
        sum_group(l, &job, false);
        copy(out, l->narrow, p->out.w * c);
    } else {
        for (int32_t x = 0, pixels, group = 0; x < p->out.w; x += pixels, group++) {
            const bool five = group < l->fives;
            pixels = five ? FIVE : FOUR;
            x = x + pixels <= p->out.w ? x : p->out.w - pixels;
            job.at = l->ring + x * step;
            job.at_end = job.at + c;
            job.out = out + x * c;
            sum_group(l, &job, five);
        }
    }
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < p->out.w * c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}

void ec_depthwise_conv2d_thumb2_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    ec_channel *const channels = (ec_channel *)(void *)scratch;
    const layer l = describe(p, (int8_t *)(void *)ec_fill_channels(channels, data, 1, p->in.c));
    const channels_job job = {
        .rows = l.rows,
        .weights = weights,
        .channels = p->in.c,
        .at = l.ring,
        .at_end = l.ring + p->in.c,
        .scales = channels,
        .twice_zero_point = 2 * p->out_zero_point + 1,
        .taps = p->filter_w,
        .rows_end = l.rows + p->filter_h,
        .pixel_step = p->stride_w * p->in.c,
        .tap_step = p->dilation_w * p->in.c,
    };
    memset(l.ring, p->in_zero_point, (size_t)((l.ring_rows + 1) * l.row_bytes));
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c) {
        int32_t copied = 0;
        for (int32_t y = 0, top = -p->pad_top; y < p->out.h; y++, top += p->stride_h, out += p->out.w * p->out.c) {
            copied = copied < top ? top : copied;
            for (; copied < top + l.ring_rows && copied < p->in.h; copied++)
                copy_row(&l, in + copied * p->in.w * p->in.c, l.ring + copied % l.ring_rows * l.row_bytes);
            for (int32_t row = 0, at = top; row < p->filter_h; row++, at += p->dilation_h)
                l.rows[row] = (at < 0 || at >= p->in.h ? l.ring_rows : at % l.ring_rows) * l.row_bytes;
            convolve_row(&l, job, out);
        }
    }
}
