/* Depthwise 2D convolution, int8, for the DSP extension: four channels of two pixels at once.
 *
 * A column of four channels is two words, (0, 2) and (1, 3), as SXTB16 takes them from a word of bytes. SMLABB and SMLATT multiply the halves of
 * such words with those of the weights, so that eight sums stay in registers. Each input row is expanded once into a ring of rows.
 *
 * What the inner loop reads in turn is one list a four of channels: for each row of the filter the place of the input row in the ring, then the
 * row's weights. */
#ifndef EC_DSP_DEPTHWISE_H
#define EC_DSP_DEPTHWISE_H

#include "ec_dsp.h"
#include "ec_dsp_quad.h"

/* The arguments of ec_depthwise_pairs, in the order in which its assembly copies them to its stack. */
typedef struct {
    const uint32_t *list, *list_end;  /* 0, 4: [filter_h] of { bytes from the ring's start to the row, weights[filter_w][2] } */
    const ec_channel *channels;       /* 8: of four channels */
    int8_t *out0, *out1;              /* 12, 16: of the first two pixels */
    int32_t out_step;                 /* 20: from one pair of pixels to the next, less the four bytes written */
    const int8_t *ring;               /* 24: as many columns on as the first pair */
    int32_t ring_step;                /* 28: from pair to pair */
    const int8_t *ring_end;           /* 32: of the pair after the last */
    int32_t row_loop;                 /* 36: which loop goes through a row, see ec_depthwise_loop */
    int32_t weights_bytes;            /* 40: of a row of the filter */
    int32_t twice_zero_point;         /* 44: 2 * out_zero_point + 1 */
} ec_depthwise_job;

/* Bytes into the table of jumps in ec_depthwise_pairs: three columns, or any number; stride 1, or 2. */
static int32_t ec_depthwise_loop(const ec_conv_params *p)
{
    return (p->filter_w == 3 ? 0 : 8) + (p->stride_w == 1 ? 0 : 4);
}

#if EC_DSP_ASSEMBLY

#define EC_DW_LOAD_WEIGHTS "ldrd r2, r3, [lr], #8\n"
#define EC_DW_LOAD_COLUMN(n) "ldrd r0, r1, [r12, #8 * " #n "]\n"
#define EC_DW_FIRST_PIXEL "smlabb r4, r0, r2, r4\nsmlatt r6, r0, r2, r6\nsmlabb r5, r1, r3, r5\nsmlatt r7, r1, r3, r7\n"
#define EC_DW_SECOND_PIXEL "smlabb r8, r0, r2, r8\nsmlatt r10, r0, r2, r10\nsmlabb r9, r1, r3, r9\nsmlatt r11, r1, r3, r11\n"
#define EC_DW_ROW_START "ldr r12, [lr], #4\nldr r0, [sp, #24]\nadd r12, r0\n"
#define EC_DW_ROW_END(loop) "ldr r0, [sp, #4]\ncmp lr, r0\nbne.w " loop "\n"
#define EC_DW_TAPS_START "ldr r0, [sp, #40]\nadd r0, lr\nstr r0, [sp, #48]\n"
#define EC_DW_TAPS_END(loop) "ldr r0, [sp, #48]\ncmp lr, r0\nbne.w " loop "\n"
#define EC_DW_CHANNEL(a, b) "ldrd r0, r1, [lr], #8\nadd " a ", r0, " a ", lsl #1\nadd " b ", r0, " b ", lsl #1\n" EC_QUAD_OUTPUTS(a, b)

static __attribute__((naked, noinline)) void ec_depthwise_pairs(__attribute__((unused)) const ec_depthwise_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #52\n"
            "ldm r0!, {r1-r6}\n"
            "stm sp, {r1-r6}\n"
            "ldm r0!, {r1-r6}\n"
            "add r0, sp, #24\n"
            "stm r0, {r1-r6}\n"
            "1:\n"
            "ldr lr, [sp]\n"
            "ldr r0, [sp, #36]\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "mov r8, r4\n"
            "mov r9, r4\n"
            "mov r10, r4\n"
            "mov r11, r4\n"
            "add pc, r0\n"
            "nop\n"
            "b.w 2f\n"
            "b.w 3f\n"
            "b.w 4f\n"
            "b.w 6f\n"
            "2:\n" /* three columns, stride 1 */
            EC_DW_ROW_START
            EC_DW_LOAD_WEIGHTS EC_DW_LOAD_COLUMN(0) EC_DW_FIRST_PIXEL EC_DW_LOAD_COLUMN(1) EC_DW_SECOND_PIXEL
            EC_DW_LOAD_WEIGHTS EC_DW_FIRST_PIXEL EC_DW_LOAD_COLUMN(2) EC_DW_SECOND_PIXEL
            EC_DW_LOAD_WEIGHTS EC_DW_FIRST_PIXEL EC_DW_LOAD_COLUMN(3) EC_DW_SECOND_PIXEL
            EC_DW_ROW_END("2b")
            "b.w 8f\n"
            "3:\n" /* three columns, stride 2 */
            EC_DW_ROW_START
            EC_DW_LOAD_WEIGHTS EC_DW_LOAD_COLUMN(0) EC_DW_FIRST_PIXEL EC_DW_LOAD_COLUMN(2) EC_DW_SECOND_PIXEL
            EC_DW_LOAD_WEIGHTS EC_DW_LOAD_COLUMN(1) EC_DW_FIRST_PIXEL EC_DW_LOAD_COLUMN(3) EC_DW_SECOND_PIXEL
            EC_DW_LOAD_WEIGHTS EC_DW_LOAD_COLUMN(2) EC_DW_FIRST_PIXEL EC_DW_LOAD_COLUMN(4) EC_DW_SECOND_PIXEL
            EC_DW_ROW_END("3b")
            "b.w 8f\n"
            "4:\n" /* any number of columns, stride 1 */
            EC_DW_ROW_START EC_DW_TAPS_START
            "5:\n"
            EC_DW_LOAD_WEIGHTS EC_DW_LOAD_COLUMN(0) EC_DW_FIRST_PIXEL EC_DW_LOAD_COLUMN(1) EC_DW_SECOND_PIXEL
            "add r12, #8\n"
            EC_DW_TAPS_END("5b")
            EC_DW_ROW_END("4b")
            "b.w 8f\n"
            "6:\n" /* any number of columns, stride 2 */
            EC_DW_ROW_START EC_DW_TAPS_START
            "7:\n"
            EC_DW_LOAD_WEIGHTS EC_DW_LOAD_COLUMN(0) EC_DW_FIRST_PIXEL EC_DW_LOAD_COLUMN(2) EC_DW_SECOND_PIXEL
            "add r12, #8\n"
            EC_DW_TAPS_END("7b")
            EC_DW_ROW_END("6b")
            "8:\n"
            "ldr lr, [sp, #8]\n"
            "ldrd r12, r3, [sp, #12]\n"
            "ldr r2, [sp, #44]\n"
            EC_DW_CHANNEL("r4", "r8") EC_DW_CHANNEL("r5", "r9") EC_DW_CHANNEL("r6", "r10") EC_DW_CHANNEL("r7", "r11")
            "ldrd r0, r1, [sp, #20]\n"
            "add r12, r0\n"
            "add r3, r0\n"
            "strd r12, r3, [sp, #12]\n"
            "ldrd r2, r3, [sp, #28]\n"
            "add r1, r2\n"
            "str r1, [sp, #24]\n"
            "cmp r1, r3\n"
            "bne.w 1b\n"
            "add sp, #52\n"
            "pop {r4-r11, pc}\n");
}

#else

static int32_t ec_depthwise_half(uint32_t word, int32_t high)
{
    return (int16_t)(uint16_t)(word >> (16 * high) & 0xffffu);
}

/* One channel of a pixel: the taps' products. */
static int32_t ec_depthwise_taps(const ec_depthwise_job *job, const int8_t *ring, int32_t channel)
{
    const int32_t words = job->weights_bytes / 4, word = channel & 1, high = channel >> 1;
    int32_t sum = 0;
    for (const uint32_t *list = job->list; list != job->list_end; list += words) {
        const uint32_t *x = (const uint32_t *)(const void *)(ring + *list++);
        for (int32_t i = word; i < words; i += 2)
            sum += ec_depthwise_half(list[i], high) * ec_depthwise_half(x[i], high);
    }
    return sum;
}

static void ec_depthwise_pairs(const ec_depthwise_job *job)
{
    int8_t *out0 = job->out0, *out1 = job->out1;
    for (const int8_t *ring = job->ring; ring != job->ring_end; ring += job->ring_step) {
        for (int32_t channel = 0; channel < 4; channel++) {
            const ec_channel *c = job->channels + channel;
            *out0++ = ec_channel_output(c, 2 * ec_depthwise_taps(job, ring, channel), job->twice_zero_point);
            *out1++ = ec_channel_output(c, 2 * ec_depthwise_taps(job, ring + job->ring_step / 2, channel), job->twice_zero_point);
        }
        out0 += job->out_step;
        out1 += job->out_step;
    }
}

#endif

/* Where things lie in scratch, and the sizes behind it. */
typedef struct {
    const ec_conv_params *p;
    ec_channel *channels;
    uint32_t *lists;                  /* [quads][filter_h][1 + 2 * filter_w] */
    int8_t *ring;                     /* [rows][quads][columns] of two words, then one row of padding for a single quad */
    int32_t quads, pairs;             /* fours of channels, pairs of pixels in a row */
    int32_t quad_bytes, row_bytes;    /* of the ring */
    int32_t rows;                     /* of the ring */
    int32_t padding_row;              /* bytes from the ring's start */
    int32_t list_words;               /* of a quad */
} ec_depthwise_layer;

static ec_depthwise_layer ec_depthwise_describe(const ec_conv_params *p, int8_t *scratch)
{
    ec_depthwise_layer l;
    l.p = p;
    l.quads = (p->in.c + 3) >> 2;
    l.pairs = (p->out.w + 1) >> 1;
    l.quad_bytes = 8 * ((2 * l.pairs - 1) * p->stride_w + p->filter_w);
    l.row_bytes = l.quads * l.quad_bytes;
    l.rows = (p->filter_h - 1) * p->dilation_h + 1;
    l.padding_row = l.rows * l.row_bytes;
    l.list_words = p->filter_h * (1 + 2 * p->filter_w);
    l.channels = (ec_channel *)(void *)scratch;
    l.lists = (uint32_t *)(void *)(l.channels + 4 * l.quads);
    l.ring = (int8_t *)(l.lists + l.quads * l.list_words);
    return l;
}

/* Up to four bytes as a word; the others are 0. */
static uint32_t ec_load_up_to(const int8_t *from, int32_t count)
{
    if (count >= 4)
        return ec_load_word(from);
    uint32_t word = 0;
    for (int32_t i = 0; i < count; i++)
        word |= (uint32_t)(uint8_t)from[i] << (8 * i);
    return word;
}

static void ec_depthwise_lists(const ec_depthwise_layer *l, const int8_t *weights)
{
    const ec_conv_params *p = l->p;
    uint32_t *list = l->lists;
    for (int32_t channel = 0; channel < p->in.c; channel += 4) {
        const int8_t *from = weights + channel;
        for (int32_t row = p->filter_h; row != 0; row--) {
            list++;
            for (int32_t tap = p->filter_w; tap != 0; tap--, from += p->in.c, list += 2) {
                const uint32_t four = ec_load_up_to(from, p->in.c - channel);
                list[0] = ec_even_bytes(four);
                list[1] = ec_odd_bytes(four);
            }
        }
    }
}

static void ec_depthwise_padding(const ec_depthwise_layer *l)
{
    const uint32_t padding = ec_twice16(l->p->in_zero_point);
    uint32_t *word = (uint32_t *)(void *)l->ring;
    EC_ROLLED
    for (int32_t n = (l->padding_row + l->quad_bytes) / 4; n != 0; n--)
        *word++ = padding;
}

/* One input row into the ring; padded columns stay as they are. */
static void ec_depthwise_expand(const ec_depthwise_layer *l, const int8_t *from, int8_t *row)
{
    const ec_conv_params *p = l->p;
    const int32_t room = l->quad_bytes / 8 - p->pad_left;
    int8_t *column = row + 8 * p->pad_left;
    for (int32_t n = p->in.w < room ? p->in.w : room; n > 0; n--, column += 8) {
        int8_t *to = column;
        EC_ROLLED
        for (const int8_t *end = from + (p->in.c & ~3); from != end; from += 4, to += l->quad_bytes) {
            const uint32_t four = ec_load_word(from);
            uint32_t *word = (uint32_t *)(void *)to;
            word[0] = ec_even_bytes(four);
            word[1] = ec_odd_bytes(four);
        }
        const int32_t rest = p->in.c & 3;
        if (rest != 0) {
            const uint32_t four = ec_load_up_to(from, rest);
            uint32_t *word = (uint32_t *)(void *)to;
            word[0] = ec_even_bytes(four);
            word[1] = ec_odd_bytes(four);
            from += rest;
        }
    }
}

/* The rest of up to three channels of a row: one pair at a time, because four bytes are written a pixel. */
static void ec_depthwise_rest(ec_depthwise_job job, int32_t channels, int32_t pixels, int32_t out_c)
{
    int8_t *out = job.out0;
    const int8_t *const end = job.ring_end;
    for (; job.ring != end; job.ring += job.ring_step, pixels -= 2) {
        int8_t two[2][4];
        job.out0 = two[0];
        job.out1 = two[1];
        job.ring_end = job.ring + job.ring_step;
        ec_depthwise_pairs(&job);
        for (int32_t pixel = 0; pixel < 2 && pixel < pixels; pixel++, out += out_c)
            for (int32_t i = 0; i < channels; i++)
                out[i] = two[pixel][i];
    }
}

/* All pairs of a row. The second pixel of a half pair goes beyond the row, onto bytes that the next row will write; where there is no next
 * row, it is kept from doing so. */
static void ec_depthwise_row(ec_depthwise_job *job, const ec_depthwise_layer *l, int8_t *out, bool guard)
{
    job->out0 = out;
    job->out1 = out + l->p->out.c;
    const int8_t *const end = job->ring_end;
    if (guard)
        job->ring_end -= job->ring_step;
    if (job->ring != job->ring_end)
        ec_depthwise_pairs(job);
    if (!guard)
        return;
    ec_depthwise_job last = *job;
    int8_t beyond[4];
    last.ring = job->ring_end;
    last.ring_end = end;
    last.out0 = out + (l->p->out.w - 1) * l->p->out.c;
    last.out1 = beyond;
    ec_depthwise_pairs(&last);
}

/* One row of outputs. */
static void ec_depthwise_output_row(const ec_depthwise_layer *l, int32_t top, bool last_row, int8_t *out)
{
    const ec_conv_params *p = l->p;
    const bool guard = last_row && (p->out.w & 1) != 0;
    uint32_t *list = l->lists;
    const int8_t *const ring_end = l->ring + l->pairs * 16 * p->stride_w;
    ec_depthwise_job job = {
        list, list, l->channels, out, out, 2 * p->out.c - 4, l->ring, 16 * p->stride_w, ring_end, ec_depthwise_loop(p), 8 * p->filter_w,
        2 * p->out_zero_point + 1,
    };
    for (int32_t channel = 0, place = 0; channel < p->in.c; channel += 4, place += l->quad_bytes, job.channels += 4) {
        job.list = list;
        for (int32_t row = 0, y = top; row < p->filter_h; row++, y += p->dilation_h, list += 1 + 2 * p->filter_w) {
            const bool padded = y < 0 || y >= p->in.h;
            *list = (uint32_t)(padded ? l->padding_row : y % l->rows * l->row_bytes + place);
        }
        job.list_end = list;
        if (p->in.c - channel >= 4) {
            ec_depthwise_row(&job, l, out + channel, guard);
            job.ring_end = ring_end;
        } else {
            job.out0 = out + channel;
            ec_depthwise_rest(job, p->in.c - channel, p->out.w, p->out.c);
        }
    }
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < p->out.w * p->out.c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}

/* All images, with the weights in the lists. */
static inline void ec_depthwise_dsp_images(const ec_depthwise_layer *l, const int8_t *in, const ec_channel_data *data, int8_t *out)
{
    const ec_conv_params *p = l->p;
    ec_fill_channels(l->channels, data, 1, p->in.c);
    ec_depthwise_padding(l);
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c) {
        int32_t expanded = 0;
        for (int32_t y = 0, top = -p->pad_top; y < p->out.h; y++, top += p->stride_h, out += p->out.w * p->out.c) {
            expanded = expanded < top ? top : expanded;
            for (; expanded < top + l->rows && expanded < p->in.h; expanded++)
                ec_depthwise_expand(l, in + expanded * p->in.w * p->in.c, l->ring + expanded % l->rows * l->row_bytes);
            ec_depthwise_output_row(l, top, b == p->batches - 1 && y == p->out.h - 1, out);
        }
    }
}

#endif
