/* Depthwise 2D convolution, int8, for MVE: the taps of a channel side by side in a vector.
 *
 * Each channel has a plane in scratch, a ring of input rows: [columns][slots], where input row y stands in slot y % slots of each column. A
 * window's columns are contiguous, so one load and one VMLADAV sum up to 16 taps. As the ring turns, the weights turn with it: each column's
 * slots are rotated. */
#include "ec_mve.h"
#include "ec_mve_sums.h"

/* Where things lie in scratch, and the sizes behind it. */
typedef struct {
    const ec_conv_params *p;
    ec_mve_four *fours;
    int8_t *weights;                  /* [channels][vectors][16] */
    int8_t *planes;                   /* [channels][plane_bytes] */
    int8_t *rest;                     /* [out.w][4]: outputs of the last one to three channels */
    int32_t four_count;               /* channels are padded to fours */
    int32_t slots;                    /* 1, 4 or 8: no fewer than the rows that taps span */
    int32_t vectors;
    int32_t plane_bytes;
    int32_t turned;                   /* slots by which weights are rotated */
} layer;

/* A row of outputs of some fours of channels, in the order in which the assembly finds it. */
typedef struct {
    const int8_t *weights;            /* 0; moved on, as the next three */
    const ec_mve_four *fours;         /* 4 */
    int8_t *out;                      /* 8 */
    const int8_t *planes;             /* 12 */
    int32_t plane_bytes;              /* 16 */
    int32_t pixels;                   /* 20 */
    int32_t left, right;              /* 24, 28: shifts that rotate weights, the second one negative */
    const ec_mve_four *end;           /* 32 */
    int32_t zero_point, out_step;     /* 36, 40 */
    int32_t step;                     /* bytes of a plane from pixel to pixel */
    int32_t vectors;
} row_job;

static layer describe(const ec_conv_params *p, int8_t *scratch)
{
    const int32_t span_h = (p->filter_h - 1) * p->dilation_h + 1, span_w = (p->filter_w - 1) * p->dilation_w + 1;
    layer l;
    l.p = p;
    l.four_count = (p->in.c + 3) >> 2;
    l.slots = span_h == 1 ? 1 : span_h <= 4 ? 4 : 8;
    l.vectors = (span_w * l.slots + 15) >> 4;
    l.plane_bytes = (p->out.w - 1) * p->stride_w * l.slots + 16 * l.vectors;
    l.turned = 0;
    l.fours = (ec_mve_four *)(void *)scratch;
    l.weights = (int8_t *)(l.fours + l.four_count);
    l.planes = l.weights + 64 * l.vectors * l.four_count;
    l.rest = l.planes + 4 * l.four_count * l.plane_bytes;
    return l;
}

#if EC_MVE_VECTORS

/* Bytes to places `stride` apart. 7 * stride is below 2^16. */
static void scatter(const int8_t *from, int32_t count, int8_t *to, int32_t stride)
{
    const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)stride);
    for (; count > 0; count -= 8, from += 8, to += 8 * stride) {
        const mve_pred16_t some = vctp16q((uint32_t)count);
        vstrbq_scatter_offset_p_s16(to, places, vldrbq_z_s16(from, some), some);
    }
}

/* `scatter` of each of many columns: eight channels at a time, because there are more columns than eights of channels. */
static void scatter_columns(const layer *l, const int8_t *from, int32_t columns, int8_t *to)
{
    const int32_t c = l->p->in.c;
    const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)l->plane_bytes);
    for (int32_t left = c; left > 0; left -= 8, from += 8, to += 8 * l->plane_bytes) {
        const mve_pred16_t some = vctp16q((uint32_t)left);
        const int8_t *column = from;
        int8_t *place = to;
        EC_ROLLED
        for (int32_t n = columns; n != 0; n--, column += c, place += l->slots)
            vstrbq_scatter_offset_p_s16(place, places, vldrbq_z_s16(column, some), some);
    }
}

static void scatter_value(int8_t value, int32_t count, int8_t *to, int32_t stride)
{
    const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)stride);
    for (; count > 0; count -= 8, to += 8 * stride)
        vstrbq_scatter_offset_p_s16(to, places, vdupq_n_s16(value), vctp16q((uint32_t)count));
}

#define LOAD(step) \
    "vldrb.u8 q4, [r3], #" step "\n" \
    "vmladav.s8 r0, q0, q4\n" \
    "vldrb.u8 q4, [r5], #" step "\n" \
    "vmladav.s8 r2, q1, q4\n" \
    "vldrb.u8 q4, [r8], #" step "\n" \
    "vmladav.s8 r4, q2, q4\n" \
    "vldrb.u8 q4, [r1], #" step "\n" \
    "vmladav.s8 r6, q3, q4\n"

#define ROTATE(q) \
    "vshl.u32 q6, " q ", q4\n" \
    "vshl.u32 " q ", " q ", q5\n" \
    "vorr " q ", " q ", q6\n"

/* Halves go away from zero: one less before the rounding shift of a negative number. */
#define AWAY_FROM_ZERO \
    "vpt.s32 lt, q4, zr\n" \
    "vaddt.i32 q4, q4, r12\n"

/* r3, r5, r8, r1: four planes. r7: outputs, r9: zero point, r10: from pixel to pixel, r12: -1. q0 to q3: weights, q5 to q7: bias, multiplier,
 * shift. Outputs are saturated to int8. */
#define SUM_ROW(step, rounding) \
    __asm__(".syntax unified\n" \
            "push {r4-r11, lr}\n" \
            "vpush {d8-d15}\n" \
            "mov r11, r0\n" \
            "ldrd r9, r10, [r11, #36]\n" \
            "mvn r12, #0\n" \
            "1:\n" \
            "ldm r11, {r0, r1, r2, r3, r4, r5}\n" \
            "ldrd r6, r7, [r11, #24]\n" \
            "vdup.32 q4, r6\n" \
            "vdup.32 q5, r7\n" \
            "vldrw.u32 q0, [r0], #16\n" \
            "vldrw.u32 q1, [r0], #16\n" \
            "vldrw.u32 q2, [r0], #16\n" \
            "vldrw.u32 q3, [r0], #16\n" \
            ROTATE("q0") ROTATE("q1") ROTATE("q2") ROTATE("q3") \
            "vldrw.u32 q5, [r1], #16\n" \
            "vldrw.u32 q6, [r1], #16\n" \
            "vldrw.u32 q7, [r1], #16\n" \
            "mov r7, r2\n" \
            "adds r2, #4\n" \
            "add.w r6, r3, r4, lsl #2\n" \
            "stm r11, {r0, r1, r2, r6}\n" \
            "dls lr, r5\n" \
            "add r5, r3, r4\n" \
            "add r8, r5, r4\n" \
            "add r1, r8, r4\n" \
            "2:\n" \
            LOAD(step) \
            "vmov q4[2], q4[0], r0, r4\n" \
            "vmov q4[3], q4[1], r2, r6\n" \
            "vadd.i32 q4, q4, q5\n" \
            "vqrdmulh.s32 q4, q4, q6\n" \
            rounding \
            "vrshl.s32 q4, q4, q7\n" \
            "vadd.i32 q4, q4, r9\n" \
            "vqmovnb.s32 q4, q4\n" \
            "vqmovnb.s16 q4, q4\n" \
            "vstrb.32 q4, [r7]\n" \
            "add r7, r10\n" \
            "le lr, 2b\n" \
            "ldr r1, [r11, #4]\n" \
            "ldr r0, [r11, #32]\n" \
            "cmp r1, r0\n" \
            "bne.w 1b\n" \
            "vpop {d8-d15}\n" \
            "pop {r4-r11, pc}\n")

static __attribute__((naked, noinline)) void sum_near(__attribute__((unused)) row_job *job)
{
    SUM_ROW("4", AWAY_FROM_ZERO);
}

static __attribute__((naked, noinline)) void sum_near_clamped(__attribute__((unused)) row_job *job)
{
    SUM_ROW("4", "");
}

static __attribute__((naked, noinline)) void sum_far(__attribute__((unused)) row_job *job)
{
    SUM_ROW("8", AWAY_FROM_ZERO);
}

static __attribute__((naked, noinline)) void sum_far_clamped(__attribute__((unused)) row_job *job)
{
    SUM_ROW("8", "");
}

static __attribute__((naked, noinline)) void sum_line(__attribute__((unused)) row_job *job)
{
    SUM_ROW("1", AWAY_FROM_ZERO);
}

static int32x4_t dot_four(const row_job *job, const int8_t *x)
{
    int32x4_t sums = vdupq_n_s32(0);
    int32_t sum[4];
    const int8_t *w = job->weights;
    for (int32_t i = 0; i < 4; i++, x += job->plane_bytes) {
        sum[i] = 0;
        const int8_t *part = x;
        EC_ROLLED
        for (int32_t n = job->vectors; n != 0; n--, part += 16, w += 16)
            sum[i] = vmladavaq_s8(sum[i], vldrbq_s8(part), vldrbq_s8(w));
    }
    sums = vsetq_lane_s32(sum[0], sums, 0);
    sums = vsetq_lane_s32(sum[1], sums, 1);
    sums = vsetq_lane_s32(sum[2], sums, 2);
    return vsetq_lane_s32(sum[3], sums, 3);
}

/* Any number of vectors, weights that are rotated already. */
static void sum_long(row_job *job)
{
    for (; job->fours != job->end; job->fours++) {
        const int8_t *x = job->planes;
        int8_t *out = job->out;
        for (int32_t n = job->pixels; n != 0; n--, x += job->step, out += job->out_step) {
            int32x4_t sums = vaddq_s32(dot_four(job, x), vldrwq_s32(job->fours->bias));
            sums = vqrdmulhq_s32(sums, vldrwq_s32(job->fours->multiplier));
            sums = vaddq_s32(sums, vshrq_n_s32(sums, 31));
            sums = vrshlq_s32(sums, vldrwq_s32(job->fours->shift));
            sums = vaddq_n_s32(sums, job->zero_point);
            sums = vmaxq_s32(vminq_s32(sums, vdupq_n_s32(127)), vdupq_n_s32(-128));
            vstrbq_s32(out, sums);
        }
        job->weights += 64 * job->vectors;
        job->planes += 4 * job->plane_bytes;
        job->out += 4;
    }
}

/* Whether the assembly takes this layer: it rotates weights as it loads them. */
static bool turns_on_load(const layer *l)
{
    return l->vectors == 1 && ((l->slots == 4 && l->p->stride_w <= 2) || (l->slots == 1 && l->p->stride_w == 1));
}

static void sum_fours(const layer *l, row_job *job)
{
    const ec_conv_params *p = l->p;
    const bool clamped = p->out_min >= p->out_zero_point;
    if (!turns_on_load(l))
        sum_long(job);
    else if (l->slots == 1)
        sum_line(job);
    else if (p->stride_w == 1 && clamped)
        sum_near_clamped(job);
    else if (p->stride_w == 1)
        sum_near(job);
    else if (clamped)
        sum_far_clamped(job);
    else
        sum_far(job);
}

#else

static void scatter(const int8_t *from, int32_t count, int8_t *to, int32_t stride)
{
    for (; count > 0; count--, to += stride)
        *to = *from++;
}

static void scatter_columns(const layer *l, const int8_t *from, int32_t columns, int8_t *to)
{
    for (; columns > 0; columns--, from += l->p->in.c, to += l->slots)
        scatter(from, l->p->in.c, to, l->plane_bytes);
}

static void scatter_value(int8_t value, int32_t count, int8_t *to, int32_t stride)
{
    for (; count > 0; count--, to += stride)
        *to = value;
}

static int8_t sum_one(const row_job *job, int32_t channel, const int8_t *x)
{
    const ec_scale scale = { job->fours->multiplier[channel], job->fours->shift[channel] };
    int32_t sum = job->fours->bias[channel];
    for (int32_t i = 0; i < 16 * job->vectors; i++)
        sum += job->weights[16 * job->vectors * channel + i] * x[job->plane_bytes * channel + i];
    return ec_requantize(sum, scale, job->zero_point, -128, 127);
}

static bool turns_on_load(const layer *l)
{
    (void)l;
    return false;
}

static void sum_fours(const layer *l, row_job *job)
{
    (void)l;
    for (; job->fours != job->end; job->fours++) {
        for (int32_t pixel = 0; pixel < job->pixels; pixel++)
            for (int32_t i = 0; i < 4; i++)
                job->out[pixel * job->out_step + i] = sum_one(job, i, job->planes + pixel * job->step);
        job->weights += 64 * job->vectors;
        job->planes += 4 * job->plane_bytes;
        job->out += 4;
    }
}

#endif

static void fill_bytes(int8_t *to, int32_t count, int32_t value)
{
    EC_ROLLED
    for (; count != 0; count--)
        *to++ = (int8_t)value;
}

/* Weights into their columns and slots, zeros elsewhere. */
static void fill_weights(const layer *l, const int8_t *weights)
{
    const ec_conv_params *p = l->p;
    const int32_t each = 16 * l->vectors;
    fill_bytes(l->weights, 4 * each * l->four_count, 0);
    for (int32_t row = 0; row < p->filter_h; row++)
        for (int32_t tap = 0; tap < p->filter_w; tap++, weights += p->in.c)
            scatter(weights, p->in.c, l->weights + tap * p->dilation_w * l->slots + row * p->dilation_h, each);
}

/* Rotate the slots of all columns of the weights. */
static void turn_weights(layer *l, int32_t top)
{
    const int32_t by = 8 * ((top - l->turned) & (l->slots - 1));
    uint32_t *word = (uint32_t *)(void *)l->weights;
    l->turned = top;
    if (by == 0)
        return;
    for (int32_t n = 16 * l->vectors * l->four_count; n != 0; n -= l->slots / 4, word += l->slots / 4) {
        if (l->slots == 4) {
            word[0] = word[0] << by | word[0] >> (32 - by);
        } else {
            const uint64_t both = (uint64_t)word[1] << 32 | word[0];
            const uint64_t turned = both << by | both >> (64 - by);
            word[0] = (uint32_t)(turned & 0xffffffffu);
            word[1] = (uint32_t)(turned >> 32);
        }
    }
}

/* One input row, or one of padding, into its slot; padded columns stay as they are. */
static void put_row(const layer *l, const int8_t *image, int32_t y)
{
    const ec_conv_params *p = l->p;
    const int32_t room = l->plane_bytes / l->slots - p->pad_left;
    const int32_t columns = p->in.w < room ? p->in.w : room;
    const int8_t *from = image + y * p->in.w * p->in.c;
    int8_t *to = l->planes + p->pad_left * l->slots + (y & (l->slots - 1));
    /* Instructions: 12 an eight of channels and 6 a column of it, or 14 a column and 4 an eight of it. */
    if (y < p->in.h && (p->in.c >> 3) * (columns + 6) < 7 * columns) {
        scatter_columns(l, from, columns, to);
        return;
    }
    for (int32_t n = columns; n > 0; n--, to += l->slots, from += p->in.c) {
        if (y < p->in.h)
            scatter(from, p->in.c, to, l->plane_bytes);
        else
            scatter_value((int8_t)p->in_zero_point, p->in.c, to, l->plane_bytes);
    }
}

static void convolve_row(layer *l, int32_t top, int8_t *out)
{
    const ec_conv_params *p = l->p;
    const int32_t whole = p->in.c >> 2, rest = p->in.c & 3;
    const int32_t left = l->slots == 4 ? 8 * (top & 3) : 0;
    if (!turns_on_load(l))
        turn_weights(l, top);
    row_job job = {
        .weights = l->weights,
        .fours = l->fours,
        .out = out,
        .planes = l->planes,
        .plane_bytes = l->plane_bytes,
        .pixels = p->out.w,
        .left = left,
        .right = left - 32,
        .end = l->fours + whole,
        .zero_point = p->out_zero_point,
        .out_step = p->out.c,
        .step = p->stride_w * l->slots,
        .vectors = l->vectors,
    };
    if (whole != 0)
        sum_fours(l, &job);
    if (rest != 0) {
        job.end = job.fours + 1;
        job.out = l->rest;
        job.out_step = 4;
        sum_fours(l, &job);
        for (int32_t pixel = 0; pixel < p->out.w; pixel++)
            for (int32_t i = 0; i < rest; i++)
                out[pixel * p->out.c + 4 * whole + i] = l->rest[4 * pixel + i];
    }
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < p->out.w * p->out.c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}

void ec_depthwise_conv2d_mve_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    layer l = describe(p, scratch);
    const int32_t span = (p->filter_h - 1) * p->dilation_h + 1;
    ec_mve_fill_fours(l.fours, data, p->in.c);
    fill_weights(&l, weights);
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c) {
        fill_bytes(l.planes, 4 * l.four_count * l.plane_bytes, p->in_zero_point);
        int32_t next = 0;
        for (int32_t y = 0, top = -p->pad_top; y < p->out.h; y++, top += p->stride_h, out += p->out.w * p->out.c) {
            next = next < top ? top : next;
            for (; next < top + span; next++)
                put_row(&l, in, next);
            convolve_row(&l, top, out);
        }
    }
}
