/* 2D convolution of block-sparse weights, int8, for the DSP extension: only blocks of four input channels that are not all zero are stored and
 * multiplied, each with four pixels: 16 instructions for 16 products.
 *
 * x holds, for each four elements of a window, the words (0, 2) of the four pixels, then their words (1, 3): 32 bytes, the unit in which
 * a block says how far it lies behind the one before. */
#include "ec_dsp.h"
#include "ec_dsp_quad.h"
#include "ec_windows.h"

enum { PIXELS = 4, FOUR_WORDS = 2 * PIXELS, BLOCK_BYTES = 5 };

/* The arguments of sum_blocks, in the order in which its assembly copies them to its stack. */
typedef struct {
    const uint32_t *x;                /* 0 */
    const int8_t *end;                /* 4: of the blocks */
    int8_t *out[PIXELS];              /* 8: of the first filter */
    int32_t twice_zero_point;         /* 24: 2 * out_zero_point + 1 */
} blocks_job;

#if EC_DSP_ASSEMBLY

/* 64 bytes. */
#define BLOCK \
    "ldrb r12, [r3], #1\n" \
    "ldr lr, [r3], #4\n" \
    "add.w r2, r2, r12, lsl #5\n" \
    "sxtb16 r12, lr\n" \
    "ldm.w r2, {r8-r11}\n" \
    "smlad r4, r8, r12, r4\n" \
    "smlad r5, r9, r12, r5\n" \
    "smlad r6, r10, r12, r6\n" \
    "smlad r7, r11, r12, r7\n" \
    "ldrd r8, r9, [r2, #16]\n" \
    "ldrd r10, r11, [r2, #24]\n" \
    "sxtb16 lr, lr, ror #8\n" \
    "smlad r4, r8, lr, r4\n" \
    "smlad r5, r9, lr, r5\n" \
    "smlad r6, r10, lr, r6\n" \
    "smlad r7, r11, lr, r7\n"

#define OUTPUT(sum) \
    "add " sum ", r8, " sum ", lsl #1\n" \
    "smmulr " sum ", " sum ", r9\n" \
    "add " sum ", " sum ", " sum ", asr #31\n" \
    "asr " sum ", " sum ", r10\n" \
    "add " sum ", " sum ", r11\n" \
    "ssat " sum ", #8, " sum ", asr #1\n"

/* A filter's head tells its bytes times 4, and how many of four unrolled blocks the first round leaves out. */
static __attribute__((naked, noinline)) void sum_blocks(
        __attribute__((unused)) const blocks_job *job, __attribute__((unused)) const ec_channel *channels,
        __attribute__((unused)) const int8_t *blocks)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #28\n"
            "mov r3, r2\n"
            "ldm r0, {r2, r4-r9}\n"
            "stm sp, {r2, r4-r9}\n"
            "1:\n"
            "ldrh r12, [r3], #2\n"
            "ldr r2, [sp]\n"
            "movs r4, #0\n"
            "add r0, r3, r12, lsr #2\n"
            "and r12, r12, #3\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "lsl r12, r12, #6\n"
            "add pc, r12\n"
            "nop\n"
            "2:\n"
            BLOCK BLOCK BLOCK BLOCK
            "cmp r3, r0\n"
            "bne.w 2b\n"
            "ldmia r1!, {r8, r9, r10}\n"
            "ldr r11, [sp, #24]\n"
            OUTPUT("r4") OUTPUT("r5") OUTPUT("r6") OUTPUT("r7")
            "ldrd r8, r9, [sp, #8]\n"
            "ldrd r10, r11, [sp, #16]\n"
            "ldr r0, [sp, #4]\n"
            "strb r4, [r8], #1\n"
            "strb r5, [r9], #1\n"
            "strb r6, [r10], #1\n"
            "strb r7, [r11], #1\n"
            "strd r8, r9, [sp, #8]\n"
            "strd r10, r11, [sp, #16]\n"
            "cmp r3, r0\n"
            "bne.w 1b\n"
            "add sp, #28\n"
            "pop {r4-r11, pc}\n");
}

/* `fours` fours of bytes of four pixels. */
static __attribute__((naked, noinline)) void expand_pixels(
        __attribute__((unused)) const int8_t *const at[PIXELS], __attribute__((unused)) int32_t fours, __attribute__((unused)) uint32_t *x)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "mov r12, r2\n"
            "mov lr, r1\n"
            "ldm r0, {r0-r3}\n"
            "1:\n"
            "ldr r4, [r0], #4\n"
            "ldr r5, [r1], #4\n"
            "ldr r6, [r2], #4\n"
            "ldr r7, [r3], #4\n"
            "sxtb16 r8, r4\n"
            "sxtb16 r9, r5\n"
            "sxtb16 r10, r6\n"
            "sxtb16 r11, r7\n"
            "stm r12!, {r8-r11}\n"
            "sxtb16 r4, r4, ror #8\n"
            "sxtb16 r5, r5, ror #8\n"
            "sxtb16 r6, r6, ror #8\n"
            "sxtb16 r7, r7, ror #8\n"
            "stm r12!, {r4-r7}\n"
            "subs lr, #1\n"
            "bne 1b\n"
            "pop {r4-r11, pc}\n");
}

#else

static void sum_blocks(const blocks_job *job, const ec_channel *channels, const int8_t *blocks)
{
    for (int32_t filter = 0; blocks != job->end; filter++) {
        uint32_t sums[PIXELS] = { 0, 0, 0, 0 };
        const uint32_t *x = job->x;
        const int32_t bytes = ((uint8_t)blocks[0] + 256 * (uint8_t)blocks[1]) >> 2;
        blocks += 2;
        for (const int8_t *end = blocks + bytes; blocks != end; blocks += BLOCK_BYTES) {
            const uint32_t four = ec_load_word(blocks + 1);
            x += FOUR_WORDS * (uint8_t)blocks[0];
            for (int32_t pixel = 0; pixel < PIXELS; pixel++)
                sums[pixel] = ec_dot16(x[pixel], ec_even_bytes(four), ec_dot16(x[PIXELS + pixel], ec_odd_bytes(four), sums[pixel]));
        }
        for (int32_t pixel = 0; pixel < PIXELS; pixel++)
            job->out[pixel][filter] = ec_channel_output(channels + filter, 2 * (int32_t)sums[pixel], job->twice_zero_point);
    }
}

static void expand_pixels(const int8_t *const at[PIXELS], int32_t fours, uint32_t *x)
{
    for (int32_t four = 0; four < fours; four++, x += FOUR_WORDS) {
        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            const uint32_t word = ec_load_word(at[pixel] + 4 * four);
            x[pixel] = ec_even_bytes(word);
            x[PIXELS + pixel] = ec_odd_bytes(word);
        }
    }
}

#endif

/* Fours of elements of padding into the words of one pixel; returns their end. */
static uint32_t *fill(uint32_t *x, int32_t elements, uint32_t padding)
{
    EC_ROLLED
    for (; elements > 0; elements -= 4, x += FOUR_WORDS)
        x[0] = x[PIXELS] = padding;
    return x;
}

/* Fours of elements into the words of one pixel; returns their end. */
static uint32_t *copy(uint32_t *x, const int8_t *from, int32_t elements)
{
    EC_ROLLED
    for (; elements > 0; elements -= 4, from += 4, x += FOUR_WORDS) {
        const uint32_t four = ec_load_word(from);
        x[0] = ec_even_bytes(four);
        x[PIXELS] = ec_odd_bytes(four);
    }
    return x;
}

/* A window into the words of one pixel: what lies outside the image is padding. */
static void expand(const ec_conv_params *p, const ec_runs *runs, const ec_place *place, uint32_t *x)
{
    const uint32_t padding = ec_twice16(p->in_zero_point);
    const ec_taps_range rows = ec_rows_inside(p, place);
    const int32_t row_len = p->filter_w * p->filter_c;
    const int8_t *row = place->at + rows.first * runs->row_stride;
    x = fill(x, rows.first * row_len, padding);
    for (int32_t n = rows.last - rows.first; n > 0; n--, row += runs->row_stride) {
        const int8_t *run = row;
        for (int32_t i = 0, column = place->x; i < runs->count; i++, column += p->dilation_w, run += runs->stride) {
            const ec_taps_range part = ec_part_inside(p, runs, column);
            const int32_t first = part.first < runs->len ? part.first : runs->len;
            const int32_t last = part.last > first ? part.last : first;
            x = fill(x, first, padding);
            x = copy(x, run + first, last - first);
            x = fill(x, runs->len - last, padding);
        }
    }
    fill(x, (p->filter_h - rows.last) * row_len, padding);
}

void ec_conv2d_blocks_dsp_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *blocks, int32_t blocks_bytes, const ec_channel_data *data, int8_t *scratch,
        int8_t *out)
{
    ec_channel *const channels = (ec_channel *)(void *)scratch;
    uint32_t *const x = (uint32_t *)(void *)ec_fill_channels(channels, data, 1, p->out.c);
    const ec_runs runs = ec_runs_of(p);
    const bool pointwise = p->filter_h * p->filter_w == 1 && p->stride_h * p->stride_w == 1;
    const int32_t pixels = p->batches * p->out.h * p->out.w;
    ec_places places = ec_first_place(p, in);
    ec_place place = { in, 0, 0, true, true };
    int8_t *to = out;
    for (int32_t left = pixels; left > 0; left -= PIXELS, to += PIXELS * p->out.c) {
        blocks_job job = { x, blocks + blocks_bytes, { to, to, to, to }, 2 * p->out_zero_point + 1 };
        const int8_t *at[PIXELS];
        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            /* Beyond the last pixel it is computed again. */
            const int32_t n = pixel < left ? pixel : left - 1;
            at[pixel] = in + n * p->in.c;
            job.out[pixel] = to + n * p->out.c;
            if (pointwise)
                continue;
            if (pixel < left)
                place = ec_next_place(&places);
            expand(p, &runs, &place, x + pixel);
        }
        if (pointwise) {
            expand_pixels(at, p->in.c >> 2, x);
            in += PIXELS * p->in.c;
        }
        sum_blocks(&job, channels, blocks);
    }
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < pixels * p->out.c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
