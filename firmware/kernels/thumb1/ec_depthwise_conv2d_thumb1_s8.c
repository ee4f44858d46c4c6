/* Depthwise 2D convolution, 3x3, int8, for 16-bit Thumb: all channels of one pixel after the other, 47 instructions for 9 products.
 *
 * Taps that lie beside each other are C bytes apart, which LDRSB takes in a register; a window that leaves the image is copied with its
 * padding first. Sums of five pixels wait for their scales together. */
#include "ec_memory.h"
#include "ec_thumb1.h"
#include "ec_thumb1_scale.h"
#include "ec_windows.h"

/* The arguments of sum_channels, in the order in which its assembly finds them. */
typedef struct {
    const int8_t *in, *weights;       /* 0, 4: of the first channel */
    int32_t *sums;                    /* 8: every fifth is written */
    int32_t channels;                 /* 12: bytes from a tap to the next */
    int32_t in_row;                   /* 16: bytes from a row of taps to the next */
    int32_t weight_row;               /* 20 */
    int32_t in_next, weight_next;     /* 24, 28: from the last row of taps to the first of the next channel */
    const int32_t *sums_end;          /* 32 */
} channels_job;

#if EC_THUMB1_ASSEMBLY

/* In at r0 and weights at r1, both a tap before the first one; r4, r5, r3 hold C, 2 C, 3 C: LDRSB takes its offset in a register alone. */
#define OTHER_TAPS \
    "ldrsb r6, [r0, r5]\n" \
    "ldrsb r7, [r1, r5]\n" \
    "muls r6, r7, r6\n" \
    "adds r2, r2, r6\n" \
    "ldrsb r6, [r0, r3]\n" \
    "ldrsb r7, [r1, r3]\n" \
    "muls r6, r7, r6\n" \
    "adds r2, r2, r6\n"

#define NEXT_ROW \
    "add r0, r8\n" \
    "add r1, r9\n" \
    "ldrsb r6, [r0, r4]\n" \
    "ldrsb r7, [r1, r4]\n" \
    "muls r6, r7, r6\n" \
    "adds r2, r2, r6\n" \
    OTHER_TAPS

static __attribute__((naked, noinline)) void sum_channels(__attribute__((unused)) const channels_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4, r5, r6, r7, lr}\n"
            "mov r4, r8\n"
            "mov r5, r9\n"
            "mov r6, r10\n"
            "mov r7, r11\n"
            "push {r4, r5, r6, r7}\n"
            "ldr r1, [r0, #16]\n"
            "mov r8, r1\n"
            "ldr r1, [r0, #20]\n"
            "mov r9, r1\n"
            "ldr r1, [r0, #24]\n"
            "mov r10, r1\n"
            "ldr r1, [r0, #28]\n"
            "mov r11, r1\n"
            "ldr r1, [r0, #32]\n"
            "mov r12, r1\n"
            "ldr r3, [r0, #8]\n"
            "mov lr, r3\n"
            "ldr r4, [r0, #12]\n"
            "lsls r5, r4, #1\n"
            "adds r3, r4, r5\n"
            "ldr r1, [r0, #4]\n"
            "subs r1, r1, r4\n"
            "ldr r0, [r0]\n"
            "subs r0, r0, r4\n"
            "1:\n"
            "ldrsb r2, [r0, r4]\n"
            "ldrsb r6, [r1, r4]\n"
            "muls r2, r6, r2\n"
            OTHER_TAPS NEXT_ROW NEXT_ROW
            "mov r6, lr\n"
            "str r2, [r6]\n"
            "adds r6, #20\n"
            "mov lr, r6\n"
            "add r0, r10\n"
            "add r1, r11\n"
            "cmp r6, r12\n"
            "bne 1b\n"
            "pop {r4, r5, r6, r7}\n"
            "mov r8, r4\n"
            "mov r9, r5\n"
            "mov r10, r6\n"
            "mov r11, r7\n"
            "pop {r4, r5, r6, r7, pc}\n");
}

#else

static void sum_channels(const channels_job *job)
{
    for (int32_t c = 0; c < job->channels; c++) {
        int32_t sum = 0;
        for (int32_t y = 0; y < 3; y++)
            for (int32_t x = 0; x < 3; x++)
                sum += job->in[y * job->in_row + x * job->channels + c] * job->weights[y * job->weight_row + x * job->channels + c];
        job->sums[EC_THUMB1_PIXELS * c] = sum;
    }
}

#endif

/* A window that leaves the image, with its padding: [3][3][c]. */
static void copy_window(const ec_conv_params *p, const ec_place *w, int8_t *to)
{
    const int32_t c = p->in.c;
    memset(to, p->in_zero_point, (size_t)(9 * c));
    const int32_t first = w->x < 0 ? -w->x : 0, inside = p->in.w - w->x, last = inside < 3 ? inside : 3;
    if (first >= last)
        return;
    for (int32_t row = 0, y = w->y; row < 3; row++, y += p->dilation_h)
        if (y >= 0 && y < p->in.h)
            memcpy(to + (3 * row + first) * c, w->at + (row * p->dilation_h * p->in.w + first) * c, (size_t)((last - first) * c));
}

void ec_depthwise_conv2d_thumb1_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    const int32_t c = p->in.c, in_row = p->dilation_h * p->in.w * c, row = 3 * c;
    ec_channel *const channels = (ec_channel *)(void *)scratch;
    int32_t *const sums = (int32_t *)(void *)ec_fill_channels(channels, data, 1, c);
    int8_t *const window = (int8_t *)(sums + EC_THUMB1_PIXELS * c);
    const int32_t all = p->batches * p->out.h * p->out.w;
    ec_places places = ec_first_place(p, in);
    int8_t *at = out;
    for (int32_t left = all; left > 0; left -= EC_THUMB1_PIXELS, at += EC_THUMB1_PIXELS * c) {
        const int32_t pixels = left < EC_THUMB1_PIXELS ? left : EC_THUMB1_PIXELS;
        for (int32_t i = 0; i < pixels; i++) {
            const ec_place w = ec_next_place(&places);
            channels_job job = { w.at, weights, sums + i, c, in_row, row, 1 - 2 * in_row, 1 - 2 * row, sums + i + EC_THUMB1_PIXELS * c };
            if (!w.rows_inside || !w.sides_inside) {
                copy_window(p, &w, window);
                job.in = window;
                job.in_row = row;
                job.in_next = 1 - 2 * row;
            }
            sum_channels(&job);
        }
        ec_thumb1_scaling scaling = { sums, channels, at, c, 4 * pixels, c, 2 * p->out_zero_point + 1, EC_THUMB1_MIDDLE };
        ec_thumb1_scale(&scaling);
    }
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < all * c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
