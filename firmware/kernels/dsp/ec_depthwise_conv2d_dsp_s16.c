/* Depthwise 2D convolution, int16 activations and int8 weights, for the DSP extension: four channels of a pixel at a time, 10 instructions
 * for a tap's four products. */
#include "ec_dsp_dot_s16.h"
#include "ec_patch.h"

/* The arguments of one_pixel, in the order in which its assembly copies them to its stack. */
typedef struct {
    const int16_t *in;                /* 0: of the first tap that lies inside the image */
    const int8_t *weights;            /* 4: of that tap */
    const ec_channel_s16 *channels;   /* 8 */
    int16_t *out;                     /* 12 */
    int32_t quads;                    /* 16: > 0: fours of channels */
    int32_t rows, columns;            /* 20, 24: > 0: of taps inside */
    int32_t in_tap;                   /* 28: bytes from a tap to the next */
    int32_t in_row;                   /* 32: bytes from the end of a row of taps to the next row */
    int32_t weights_row;              /* 36 */
    int32_t weights_quad;             /* 40: bytes from a four of channels to the next */
    int32_t out_min, out_max;         /* 44, 48 */
} pixel_job;

#if EC_DSP_ASSEMBLY

/* In at r0, weights at r1, bytes to the next tap in r2; sums in r5 to r8. */
#define TAP \
    "ldr r12, [r1], #4\n" \
    "ldr r9, [r0]\n" \
    "ldr r10, [r0, #4]\n" \
    "add r0, r2\n" \
    "sxtb16 r11, r12\n" \
    "sxtb16 r12, r12, ror #8\n" \
    "smlabb r5, r9, r11, r5\n" \
    "smlatt r6, r9, r11, r6\n" \
    "smlabb r7, r10, r12, r7\n" \
    "smlatt r8, r10, r12, r8\n"

/* A sum to an output: channel at r3, clamp in r9 and r10, out at r0. */
#define OUTPUT(sum) \
    "ldrd r1, r2, [r3], #8\n" \
    "add " sum ", r1\n" \
    "smmulr " sum ", " sum ", r2\n" \
    "cmp " sum ", r9\n" \
    "it lt\n" \
    "movlt " sum ", r9\n" \
    "cmp " sum ", r10\n" \
    "it gt\n" \
    "movgt " sum ", r10\n" \
    "strh " sum ", [r0], #2\n"

static __attribute__((naked, noinline)) void one_pixel(__attribute__((unused)) const pixel_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #52\n"
            "ldm r0!, {r1-r9}\n"
            "stm sp, {r1-r9}\n"
            "ldm r0, {r1-r4}\n"
            "add r0, sp, #36\n"
            "stm r0, {r1-r4}\n"
            "1:\n"
            "ldrd r0, r1, [sp]\n"
            "ldrd r4, r3, [sp, #20]\n"
            "ldr r2, [sp, #28]\n"
            "mov r5, #0\n"
            "mov r6, #0\n"
            "mov r7, #0\n"
            "mov r8, #0\n"
            "2:\n"
            "cmp r3, #3\n"
            "bne.w 3f\n"
            TAP TAP TAP
            "b.w 5f\n"
            "3:\n"
            "mov lr, r3\n"
            "4:\n"
            TAP
            "subs lr, #1\n"
            "bne.w 4b\n"
            "5:\n"
            "ldrd r9, r10, [sp, #32]\n"
            "add r0, r9\n"
            "add r1, r10\n"
            "subs r4, #1\n"
            "bne.w 2b\n"
            "ldrd r3, r0, [sp, #8]\n"
            "ldrd r9, r10, [sp, #44]\n"
            OUTPUT("r5")
            OUTPUT("r6")
            OUTPUT("r7")
            OUTPUT("r8")
            "strd r3, r0, [sp, #8]\n"
            "ldrd r0, r1, [sp]\n"
            "ldr r2, [sp, #40]\n"
            "add r0, #8\n"
            "add r1, r2\n"
            "strd r0, r1, [sp]\n"
            "ldr r0, [sp, #16]\n"
            "subs r0, #1\n"
            "str r0, [sp, #16]\n"
            "bne.w 1b\n"
            "add sp, #52\n"
            "pop {r4-r11, pc}\n");
}

#else

static void one_pixel(const pixel_job *job)
{
    const int32_t in_row = job->in_row / 2 + job->columns * (job->in_tap / 2), weights_row = job->weights_row + 4 * job->columns;
    for (int32_t o = 0; o < 4 * job->quads; o++) {
        const int32_t at = o & 3;
        int32_t sum = 0;
        for (int32_t row = 0; row < job->rows; row++)
            for (int32_t tap = 0; tap < job->columns; tap++) {
                const int16_t *x = job->in + (o - at) + row * in_row + tap * (job->in_tap / 2);
                const uint32_t word = ec_load_four(job->weights + (o >> 2) * job->weights_quad + row * weights_row + 4 * tap);
                const uint32_t two = ec_load_two(x + (at & 2)), w = (at & 2) != 0 ? ec_odd_bytes(word) : ec_even_bytes(word);
                sum = (at & 1) != 0 ? ec_smlatt(two, w, sum) : ec_smlabb(two, w, sum);
            }
        job->out[o] = ec_output_s16(sum, &job->channels[o], job->out_min, job->out_max);
    }
}

#endif

static void convolve_pixel(
        const ec_conv_params *p, const int16_t *image, const int8_t *weights, const ec_channel_s16 *channels, int32_t y, int32_t x,
        int16_t *out)
{
    const ec_taps rows = ec_taps_inside(y, p->in.h, p->filter_h, p->dilation_h);
    const ec_taps columns = ec_taps_inside(x, p->in.w, p->filter_w, p->dilation_w);
    const int32_t c = p->in.c, inside = columns.last - columns.first;
    if (ec_taps_none(rows) || inside == 0) {
        for (int32_t o = 0; o < c; o++)
            out[o] = ec_output_s16(0, &channels[o], p->out_min, p->out_max);
        return;
    }
    pixel_job job = {
        .in = image + ((y + rows.first * p->dilation_h) * p->in.w + x + columns.first * p->dilation_w) * c,
        .weights = weights + 4 * (rows.first * p->filter_w + columns.first),
        .channels = channels,
        .out = out,
        .quads = c >> 2,
        .rows = rows.last - rows.first,
        .columns = inside,
        .in_tap = 2 * p->dilation_w * c,
        .in_row = 2 * (p->dilation_h * p->in.w - inside * p->dilation_w) * c,
        .weights_row = 4 * (p->filter_w - inside),
        .weights_quad = 4 * p->filter_h * p->filter_w,
        .out_min = p->out_min,
        .out_max = p->out_max,
    };
    one_pixel(&job);
    if ((c & 3) != 0) {
        job.in += c - 4;
        job.weights += (c >> 2) * job.weights_quad;
        job.channels += c - 4;
        job.out += c - 4;
        job.quads = 1;
        one_pixel(&job);
    }
}

void ec_depthwise_conv2d_dsp_s16(
        const ec_conv_params *p, const int16_t *in, const int8_t *weights, const ec_channel_s16 *channels, int16_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c)
                convolve_pixel(p, in, weights, channels, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left, out);
}
