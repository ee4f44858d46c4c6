/* Depthwise 2D convolution, int8, for 16-bit Thumb: all channels of one pixel after the other, 47 instructions for the 9 products of 3x3.
 *
 * Taps that lie beside each other are C bytes apart, which LDRSB takes in a register; a window that leaves the image is copied with its
 * padding first. Sums of five pixels wait for their scales together. */
#include "ec_memory.h"
#include "ec_thumb1.h"
#include "ec_thumb1_scale.h"
#include "ec_windows.h"

/* The arguments of the loops over channels, in the order in which their assembly finds them. */
typedef struct {
    const int8_t *in, *weights;       /* 0, 4: of the first channel */
    int32_t *sums;                    /* 8: every fifth is written */
    int32_t channels;                 /* 12: bytes from a tap to the next */
    int32_t in_row;                   /* 16: bytes from a row of taps to the next */
    int32_t weight_row;               /* 20: bytes of a row of taps */
    int32_t in_next, weight_next;     /* 24, 28: from behind the last row of taps to the first of the next channel; from it for 3x3 */
    const int32_t *sums_end;          /* 32 */
    int32_t rows;                     /* 36: of taps; not for 3x3 */
} channels_job;

#if EC_THUMB1_ASSEMBLY

#define ENTER \
    "push {r4, r5, r6, r7, lr}\n" \
    "mov r4, r8\n" \
    "mov r5, r9\n" \
    "mov r6, r10\n" \
    "mov r7, r11\n" \
    "push {r3, r4, r5, r6, r7}\n" \
    "ldr r1, [r0, #16]\n" \
    "mov r8, r1\n" \
    "ldr r1, [r0, #24]\n" \
    "mov r10, r1\n" \
    "ldr r1, [r0, #28]\n" \
    "mov r11, r1\n" \
    "ldr r1, [r0, #32]\n" \
    "mov r12, r1\n"

#define LEAVE \
    "pop {r3, r4, r5, r6, r7}\n" \
    "mov r8, r4\n" \
    "mov r9, r5\n" \
    "mov r10, r6\n" \
    "mov r11, r7\n" \
    "pop {r4, r5, r6, r7, pc}\n"

#define TAP(place) \
    "ldrsb r6, [r0, " place "]\n" \
    "ldrsb r7, [r1, " place "]\n" \
    "muls r6, r7, r6\n" \
    "adds r2, r2, r6\n"

#define NEXT_ROW \
    "add r0, r8\n" \
    "add r1, r9\n" \
    TAP("r3") TAP("r4") TAP("r5")

/* 3x3: r0 inputs, r1 weights, r2 the sum, lr where it goes; r3 to r5 the places of three taps. */
static __attribute__((naked, noinline)) void sum_three(__attribute__((unused)) const channels_job *job)
{
    __asm__(".syntax unified\n"
            ENTER
            "ldr r1, [r0, #20]\n"
            "mov r9, r1\n"
            "ldr r1, [r0, #8]\n"
            "mov lr, r1\n"
            "movs r3, #0\n"
            "ldr r4, [r0, #12]\n"
            "lsls r5, r4, #1\n"
            "ldr r1, [r0, #4]\n"
            "ldr r0, [r0]\n"
            "1:\n"
            "ldrsb r2, [r0, r3]\n"
            "ldrsb r6, [r1, r3]\n"
            "muls r2, r6, r2\n"
            TAP("r4") TAP("r5") NEXT_ROW NEXT_ROW
            "mov r6, lr\n"
            "str r2, [r6]\n"
            "adds r6, #20\n"
            "mov lr, r6\n"
            "add r0, r10\n"
            "add r1, r11\n"
            "cmp r6, r12\n"
            "bne 1b\n"
            LEAVE);
}

/* Any filter: r4 a tap's place, r5 bytes of a row of taps; r9 bytes from a tap to the next, lr rows, at sp those that are left. */
static __attribute__((naked, noinline)) void sum_any(__attribute__((unused)) const channels_job *job)
{
    __asm__(".syntax unified\n"
            ENTER
            "ldr r1, [r0, #12]\n"
            "mov r9, r1\n"
            "ldr r1, [r0, #36]\n"
            "mov lr, r1\n"
            "ldr r3, [r0, #8]\n"
            "ldr r5, [r0, #20]\n"
            "ldr r1, [r0, #4]\n"
            "ldr r0, [r0]\n"
            "1:\n"
            "movs r2, #0\n"
            "mov r6, lr\n"
            "2:\n"
            "str r6, [sp]\n"
            "movs r4, #0\n"
            "3:\n"
            TAP("r4")
            "add r4, r9\n"
            "cmp r4, r5\n"
            "bne 3b\n"
            "add r0, r8\n"
            "adds r1, r1, r5\n"
            "ldr r6, [sp]\n"
            "subs r6, #1\n"
            "bne 2b\n"
            "str r2, [r3]\n"
            "adds r3, #20\n"
            "add r0, r10\n"
            "add r1, r11\n"
            "cmp r3, r12\n"
            "bne 1b\n"
            LEAVE);
}

#else

static void sum_rows(const channels_job *job, int32_t rows)
{
    for (int32_t c = 0; c < job->channels; c++) {
        int32_t sum = 0;
        for (int32_t y = 0; y < rows; y++)
            for (int32_t x = c; x < job->weight_row; x += job->channels)
                sum += job->in[y * job->in_row + x] * job->weights[y * job->weight_row + x];
        job->sums[EC_THUMB1_PIXELS * c] = sum;
    }
}

static void sum_three(const channels_job *job)
{
    sum_rows(job, 3);
}

static void sum_any(const channels_job *job)
{
    sum_rows(job, job->rows);
}

#endif

/* A window that leaves the image, with its padding: [filter_h][filter_w][c]. */
static void copy_window(const ec_conv_params *p, const ec_place *w, int8_t *to)
{
    const int32_t c = p->in.c;
    memset(to, p->in_zero_point, (size_t)(p->filter_h * p->filter_w * c));
    const int32_t first = w->x < 0 ? -w->x : 0, inside = p->in.w - w->x, last = inside < p->filter_w ? inside : p->filter_w;
    if (first >= last)
        return;
    for (int32_t row = 0, y = w->y; row < p->filter_h; row++, y += p->dilation_h)
        if (y >= 0 && y < p->in.h)
            memcpy(to + (p->filter_w * row + first) * c, w->at + (row * p->dilation_h * p->in.w + first) * c, (size_t)((last - first) * c));
}

/* One pixel's sums, from the image or from a copy of its window. */
static void sum_pixel(const ec_conv_params *p, const int8_t *in, int32_t in_row, const int8_t *weights, int32_t *sums)
{
    const int32_t c = p->in.c, row = p->filter_w * c;
    const bool three = p->filter_h == 3 && p->filter_w == 3;
    const int32_t rows = three ? 2 : p->filter_h;
    const channels_job job = {
        in, weights, sums, c, in_row, row, 1 - rows * in_row, 1 - rows * row, sums + EC_THUMB1_PIXELS * c, p->filter_h,
    };
    if (three)
        sum_three(&job);
    else
        sum_any(&job);
}

void ec_depthwise_conv2d_thumb1_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    const int32_t c = p->in.c, in_row = p->dilation_h * p->in.w * c;
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
            const bool inside = w.rows_inside && w.sides_inside;
            if (!inside)
                copy_window(p, &w, window);
            sum_pixel(p, inside ? w.at : window, inside ? in_row : p->filter_w * c, weights, sums + i);
        }
        ec_thumb1_scaling scaling = { sums, channels, at, c, 4 * pixels, c, 2 * p->out_zero_point + 1, EC_THUMB1_MIDDLE };
        ec_thumb1_scale(&scaling);
    }
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < all * c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
