/* Sums of up to five pixels to outputs, for the kernels of 16-bit Thumb. */
#ifndef EC_THUMB1_SCALE_H
#define EC_THUMB1_SCALE_H

#include "ec_thumb1.h"

#if defined(__ARM_ARCH_ISA_THUMB)
#define EC_THUMB1_ASSEMBLY 1
#else
#define EC_THUMB1_ASSEMBLY 0
#endif

#define EC_THUMB1_PIXELS 5

/* The arguments of ec_thumb1_scale, in the order in which its assembly finds them. */
typedef struct {
    const int32_t *sums;              /* 0: [filters][EC_THUMB1_PIXELS]; moved on */
    const ec_channel *channels;       /* 4: moved on */
    int8_t *out;                      /* 8: of the first pixel; moved on */
    int32_t filters;                  /* 12: > 0; 0 afterwards */
    int32_t sum_bytes;                /* 16: 4 * pixels that are wanted */
    int32_t step;                     /* 20: bytes from a pixel's outputs to the next's */
    int32_t twice_zero_point;         /* 24: 2 * out_zero_point + 1 */
    uint32_t middle;                  /* 28: EC_THUMB1_MIDDLE */
} ec_thumb1_scaling;

#if EC_THUMB1_ASSEMBLY

#define EC_THUMB1_SCALED \
    "ldm r0!, {r4}\n" \
    "add r4, r8\n" \
    "uxth r5, r4\n" \
    "asrs r4, r4, #16\n" \
    "movs r6, r5\n" \
    "muls r6, r3, r6\n" \
    "lsrs r6, r6, #16\n" \
    "muls r5, r2, r5\n" \
    "adds r5, r5, r6\n" \
    "movs r6, r4\n" \
    "muls r6, r3, r6\n" \
    "adds r5, r5, r6\n" \
    "add r5, r9\n" \
    "lsrs r5, r5, #15\n" \
    "muls r4, r2, r4\n" \
    "lsls r4, r4, #1\n" \
    "adds r4, r4, r5\n" \
    "subs r4, r4, r7\n" \
    "asrs r5, r4, #31\n" \
    "adds r4, r4, r5\n" \
    "mov r5, r10\n" \
    "asrs r4, r5\n" \
    "add r4, r11\n" \
    "asrs r4, r4, #1\n"

/* Sums of channels to outputs. As ec_thumb1_high_product and ec_thumb1_output; r2, r3 hold the halves of the multiplier, r7 2^15. */
static __attribute__((naked, noinline)) void ec_thumb1_scale(__attribute__((unused)) ec_thumb1_scaling *job)
{
    __asm__(".syntax unified\n"
            "push {r4, r5, r6, r7, lr}\n"
            "mov r4, r8\n"
            "mov r5, r9\n"
            "mov r6, r10\n"
            "mov r7, r11\n"
            "push {r0, r4, r5, r6, r7}\n"
            "ldr r1, [r0, #20]\n"
            "mov r12, r1\n"
            "ldr r1, [r0, #24]\n"
            "mov r11, r1\n"
            "ldr r1, [r0, #28]\n"
            "mov r9, r1\n"
            "movs r7, #1\n"
            "lsls r7, r7, #15\n"
            "1:\n"
            "ldr r6, [sp]\n"
            "ldr r4, [r6, #4]\n"
            "ldm r4!, {r1, r2, r3}\n"
            "str r4, [r6, #4]\n"
            "asrs r1, r1, #1\n"
            "mov r8, r1\n"
            "mov r10, r3\n"
            "uxth r3, r2\n"
            "lsrs r2, r2, #16\n"
            "ldr r0, [r6]\n"
            "ldr r5, [r6, #16]\n"
            "adds r5, r5, r0\n"
            "mov lr, r5\n"
            "movs r5, r0\n"
            "adds r5, #20\n"
            "str r5, [r6]\n"
            "ldr r1, [r6, #8]\n"
            "adds r5, r1, #1\n"
            "str r5, [r6, #8]\n"
            "2:\n"
            EC_THUMB1_SCALED
            "sxtb r5, r4\n"
            "cmp r5, r4\n"
            "bne 4f\n"
            "3:\n"
            "strb r4, [r1]\n"
            "add r1, r12\n"
            "cmp r0, lr\n"
            "bne 2b\n"
            "ldr r6, [sp]\n"
            "ldr r5, [r6, #12]\n"
            "subs r5, #1\n"
            "str r5, [r6, #12]\n"
            "bne 1b\n"
            "pop {r0, r4, r5, r6, r7}\n"
            "mov r8, r4\n"
            "mov r9, r5\n"
            "mov r10, r6\n"
            "mov r11, r7\n"
            "pop {r4, r5, r6, r7, pc}\n"
            "4:\n"
            "asrs r4, r4, #31\n"
            "movs r5, #127\n"
            "eors r4, r5\n"
            "b 3b\n");
}

#undef EC_THUMB1_SCALED

#else

static void ec_thumb1_scale(ec_thumb1_scaling *job)
{
    for (; job->filters != 0; job->filters--, job->channels++, job->sums += EC_THUMB1_PIXELS) {
        int8_t *out = job->out++;
        for (int32_t i = 0; i < job->sum_bytes / 4; i++, out += job->step) {
            const int32_t value = ec_thumb1_high_product(job->sums[i] + (job->channels->twice_bias >> 1), job->channels->multiplier);
            *out = ec_thumb1_output(value, job->channels->shift_before_last, job->twice_zero_point);
        }
    }
}

#endif
#endif
