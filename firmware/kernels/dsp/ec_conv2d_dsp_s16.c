/* 2D convolution, int16 activations and int8 weights, for the DSP extension: the windows of four pixels against one filter after the other.
 * A word of four weights meets eight words of two inputs in 13 instructions for 16 products. */
#include "ec_dsp_dot_s16.h"
#include "ec_patch.h"

#define PIXELS 4

/* The arguments of four_pixels, in the order in which its assembly copies them to its stack. */
typedef struct {
    const int16_t *x;                 /* 0: [pairs of elements][PIXELS][2] */
    int32_t fours;                    /* 4: > 0: of elements in a window */
    const int8_t *weights;            /* 8 */
    const ec_channel_s16 *channels;   /* 12 */
    int16_t *out;                     /* 16 */
    int32_t out_bytes;                /* 20: from one pixel to the next */
    int32_t filters;                  /* 24: > 0 */
    int32_t out_min, out_max;         /* 28, 32 */
} pixels_job;

#if EC_DSP_ASSEMBLY

/* Pairs of inputs in r4 to r7, a pair of weights in lr. */
#define PAIRS \
    "smlad r8, r4, lr, r8\n" \
    "smlad r9, r5, lr, r9\n" \
    "smlad r10, r6, lr, r10\n" \
    "smlad r11, r7, lr, r11\n"

#define FOUR \
    "ldr r12, [r1], #4\n" \
    "ldm r0!, {r4-r7}\n" \
    "sxtb16 lr, r12\n" \
    PAIRS \
    "ldm r0!, {r4-r7}\n" \
    "sxtb16 lr, r12, ror #8\n" \
    PAIRS

/* A sum to an output: bias in r4, multiplier in r5, clamp in r6 and r7, out at r0, bytes to the next pixel in r2. */
#define OUTPUT(sum) \
    "add " sum ", r4\n" \
    "smmulr " sum ", " sum ", r5\n" \
    "cmp " sum ", r6\n" \
    "it lt\n" \
    "movlt " sum ", r6\n" \
    "cmp " sum ", r7\n" \
    "it gt\n" \
    "movgt " sum ", r7\n" \
    "strh " sum ", [r0]\n" \
    "add r0, r2\n"

static __attribute__((naked, noinline)) void four_pixels(__attribute__((unused)) const pixels_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #36\n"
            "ldm r0, {r1-r9}\n"
            "stm sp, {r1-r9}\n"
            "1:\n"
            "ldrd r0, r2, [sp]\n"
            "ldr r1, [sp, #8]\n"
            "mov r8, #0\n"
            "mov r9, #0\n"
            "mov r10, #0\n"
            "mov r11, #0\n"
            "lsrs r3, r2, #2\n"
            "beq.w 3f\n"
            "2:\n"
            FOUR FOUR FOUR FOUR
            "subs r3, #1\n"
            "bne.w 2b\n"
            "3:\n"
            "ands r2, r2, #3\n"
            "beq.w 5f\n"
            "4:\n"
            FOUR
            "subs r2, #1\n"
            "bne.w 4b\n"
            "5:\n"
            "ldr r3, [sp, #12]\n"
            "ldrd r0, r2, [sp, #16]\n"
            "ldrd r6, r7, [sp, #28]\n"
            "ldrd r4, r5, [r3], #8\n"
            "strd r1, r3, [sp, #8]\n"
            "add r1, r0, #2\n"
            "str r1, [sp, #16]\n"
            OUTPUT("r8")
            OUTPUT("r9")
            OUTPUT("r10")
            OUTPUT("r11")
            "ldr r0, [sp, #24]\n"
            "subs r0, #1\n"
            "str r0, [sp, #24]\n"
            "bne.w 1b\n"
            "add sp, #36\n"
            "pop {r4-r11, pc}\n");
}

#else

static void four_pixels(const pixels_job *job)
{
    const int8_t *weights = job->weights;
    for (int32_t filter = 0; filter < job->filters; filter++, weights += 4 * job->fours)
        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            const int16_t *x = job->x + 2 * pixel;
            int32_t sum = 0;
            for (int32_t k = 0; k < job->fours; k++, x += 4 * PIXELS) {
                const uint32_t word = ec_load_four(weights + 4 * k);
                sum = ec_smlad(ec_load_two(x), ec_even_bytes(word), sum);
                sum = ec_smlad(ec_load_two(x + 2 * PIXELS), ec_odd_bytes(word), sum);
            }
            job->out[pixel * (job->out_bytes / 2) + filter] = ec_output_s16(sum, &job->channels[filter], job->out_min, job->out_max);
        }
}

#endif

/* Where element e of a window stands behind its first. */
static inline int32_t place_of(int32_t e)
{
    return (e >> 1) * 2 * PIXELS + (e & 1);
}

static void put_zeros(int16_t *window, int32_t e, int32_t n)
{
    for (; n > 0; n--, e++)
        window[place_of(e)] = 0;
}

static void put_run(int16_t *window, int32_t e, const int16_t *from, int32_t n)
{
    if ((e & 1) != 0 && n > 0) {
        window[place_of(e++)] = *from++;
        n--;
    }
    int16_t *to = window + place_of(e);
    for (; n >= 4; n -= 4, e += 4, from += 4, to += 4 * PIXELS) {
        const uint32_t a = ec_load_two(from), b = ec_load_two(from + 2);
        ((ec_two_s16 *)(void *)to)->two = a;
        ((ec_two_s16 *)(void *)(to + 2 * PIXELS))->two = b;
    }
    for (; n > 0; n--)
        window[place_of(e++)] = *from++;
}

/* The window of the output pixel whose first tap lies at (y, x), with zeros for taps outside the image. */
static void copy_window(const ec_conv_params *p, const int16_t *image, int32_t y, int32_t x, int16_t *window)
{
    const ec_taps columns = ec_taps_inside(x, p->in.w, p->filter_w, p->dilation_w);
    const bool none = ec_taps_none(columns), contiguous = p->dilation_w == 1;
    const int32_t taps = contiguous ? 1 : columns.last - columns.first;
    const int32_t run = (contiguous ? columns.last - columns.first : 1) * p->in.c;
    int32_t e = 0;
    for (int32_t ky = 0; ky < p->filter_h; ky++) {
        const int32_t row = y + ky * p->dilation_h, end = e + p->filter_w * p->in.c;
        if (!none && row >= 0 && row < p->in.h) {
            const int16_t *from = image + (row * p->in.w + x + columns.first * p->dilation_w) * p->in.c;
            put_zeros(window, e, columns.first * p->in.c);
            e += columns.first * p->in.c;
            for (int32_t tap = 0; tap < taps; tap++, from += p->dilation_w * p->in.c, e += run)
                put_run(window, e, from, run);
        }
        put_zeros(window, e, end - e);
        e = end;
    }
}

/* Windows [n, PIXELS) become [0, PIXELS - n). */
static void move_windows(int16_t *scratch, int32_t n, int32_t fours)
{
    for (int32_t pair = 0; pair < 2 * fours; pair++, scratch += 2 * PIXELS)
        for (int32_t e = 2 * n; e < 2 * PIXELS; e++)
            scratch[e - 2 * n] = scratch[e];
}

void ec_conv2d_dsp_s16(
        const ec_conv_params *p, const int16_t *in, const int8_t *weights, const ec_channel_s16 *channels, int16_t *scratch, int16_t *out)
{
    const int32_t elements = p->filter_h * p->filter_w * p->in.c, fours = (elements + 3) >> 2, pixels = p->out.h * p->out.w;
    pixels_job job = { scratch, fours, weights, channels, out, 2 * p->out.c, p->out.c, p->out_min, p->out_max };
    for (int32_t i = 0; i < PIXELS; i++)
        put_zeros(scratch + 2 * i, elements, 4 * fours - elements);
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c) {
        int32_t oy = 0, ox = 0;
        for (int32_t done = 0, count; done < pixels; done += count, job.out += PIXELS * p->out.c) {
            /* The last four end with the last pixel: the first ones of them are the last ones of the four before. */
            count = pixels - done < PIXELS ? pixels - done : PIXELS;
            if (count < PIXELS) {
                move_windows(scratch, count, fours);
                job.out -= (PIXELS - count) * p->out.c;
            }
            for (int32_t i = PIXELS - count; i < PIXELS; i++) {
                copy_window(p, in, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left, scratch + 2 * i);
                if (++ox == p->out.w) {
                    ox = 0;
                    oy++;
                }
            }
            four_pixels(&job);
        }
    }
}
