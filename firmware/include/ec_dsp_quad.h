/* Four filters against two pixels: the inner loop of convolutions with the DSP extension, and what surrounds it.
 *
 * x holds words of two int16 elements, the first and the second pixel's in turns. Elements of a run go in fours, as SXTB16 takes them from a
 * word of bytes: (0, 2), then (1, 3); a rest of three is a four whose last weight is 0, a rest of one or two is one word (0, 1). */
#ifndef EC_DSP_QUAD_H
#define EC_DSP_QUAD_H

#include "ec_channels.h"
#include "ec_dsp.h"
#include "ec_requantize.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb__)
#define EC_DSP_ASSEMBLY 1
#include <arm_acle.h>
#else
#define EC_DSP_ASSEMBLY 0
#endif

typedef int16_t __attribute__((may_alias)) ec_half;

/* Two int16 in a word. */
static inline uint32_t ec_pack16(int32_t low, int32_t high)
{
    return (uint32_t)high << 16 | ((uint32_t)low & 0xffffu);
}

static inline uint32_t ec_twice16(int32_t value)
{
    return ec_pack16(value, value);
}

static inline int32_t ec_byte(uint32_t word, int32_t n)
{
    return (int8_t)(uint8_t)(word >> (8 * n) & 0xffu);
}

/* Bytes 0 and 2, bytes 1 and 3, sign-extended. */
static inline uint32_t ec_even_bytes(uint32_t four)
{
#if EC_DSP_ASSEMBLY
    return (uint32_t)__sxtb16((int8x4_t)four);
#else
    return ec_pack16(ec_byte(four, 0), ec_byte(four, 2));
#endif
}

static inline uint32_t ec_odd_bytes(uint32_t four)
{
#if EC_DSP_ASSEMBLY
    return (uint32_t)__sxtb16((int8x4_t)(four >> 8 | four << 24));
#else
    return ec_pack16(ec_byte(four, 1), ec_byte(four, 3));
#endif
}

/* Words a filter for a run of this many elements. */
static inline int32_t ec_run_steps(int32_t run_len)
{
    const int32_t rest = run_len & 3;
    return 2 * (run_len >> 2) + (rest == 3 ? 2 : rest != 0);
}

/* The last one to three elements of a run, without reading beyond them. */
static inline void ec_expand_rest(const int8_t *from, int32_t rest, uint32_t *x)
{
    if (rest == 3) {
        x[0] = ec_pack16(from[0], from[2]);
        x[2] = ec_pack16(from[1], 0);
    } else {
        x[0] = ec_pack16(from[0], rest == 2 ? from[1] : 0);
    }
}

/* Rows of bytes of two pixels. */
typedef struct {
    const int8_t *a, *b;
    int32_t fours;                    /* bytes in a row, over 4 */
    int32_t rows;                     /* > 0 */
    int32_t skip;                     /* bytes from the last four of a row to the next row */
    int32_t rest;                     /* 1 or 2 more elements; a whole four is read for them */
} ec_rows;

/* Fours of bytes at a and at b to (a even, b even, a odd, b odd), four words a four; a rest to two words. What lies beside a rest of one is no
 * zero: it meets a weight that is. */
#if EC_DSP_ASSEMBLY
#define EC_EXPAND_FOUR \
    "ldr r6, [r0], #4\n" \
    "ldr r7, [r1], #4\n" \
    "sxtb16 r4, r6\n" \
    "sxtb16 r5, r7\n" \
    "sxtb16 r6, r6, ror #8\n" \
    "sxtb16 r7, r7, ror #8\n" \
    "stmia r2!, {r4-r7}\n"

static __attribute__((naked, noinline, unused)) void ec_expand_two(
        __attribute__((unused)) const ec_rows *rows, __attribute__((unused)) uint32_t *x)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "mov r2, r1\n"
            "ldm r0, {r0, r1, r8, r9, r10, r11}\n"
            "lsrs r8, r8, #1\n"
            "sbc r12, r12, r12\n" /* 0 where there is an odd four, else -1 */
            "1:\n"
            "mov r3, r8\n"
            "cmp r12, #0\n"
            "bne 2f\n"
            EC_EXPAND_FOUR
            "2:\n"
            "cbz r3, 4f\n"
            "3:\n"
            EC_EXPAND_FOUR EC_EXPAND_FOUR
            "subs r3, #1\n"
            "bne 3b\n"
            "4:\n"
            "cmp r11, #1\n"
            "blo 6f\n"
            "ldr r6, [r0]\n"
            "ldr r7, [r1]\n"
            "sxtb16 r4, r6\n"
            "sxtb16 r5, r7\n"
            "beq 5f\n"
            "sxtb16 r6, r6, ror #8\n"
            "sxtb16 r7, r7, ror #8\n"
            "pkhbt r4, r4, r6, lsl #16\n"
            "pkhbt r5, r5, r7, lsl #16\n"
            "5:\n"
            "stmia r2!, {r4, r5}\n"
            "6:\n"
            "add r0, r10\n"
            "add r1, r10\n"
            "subs r9, #1\n"
            "bne 1b\n"
            "pop {r4-r11, pc}\n");
}
#else
static inline void ec_expand_two(const ec_rows *rows, uint32_t *x)
{
    for (int32_t row = 0; row < rows->rows; row++) {
        const int8_t *a = rows->a + row * (4 * rows->fours + rows->skip), *b = rows->b + (a - rows->a);
        for (int32_t n = rows->fours; n != 0; n--, a += 4, b += 4, x += 4) {
            const uint32_t four = ec_load_word(a), other = ec_load_word(b);
            x[0] = ec_even_bytes(four);
            x[1] = ec_even_bytes(other);
            x[2] = ec_odd_bytes(four);
            x[3] = ec_odd_bytes(other);
        }
        if (rows->rest == 0)
            continue;
        const uint32_t four = ec_load_word(a), other = ec_load_word(b);
        const int32_t second = rows->rest == 1 ? 2 : 1;
        *x++ = ec_pack16(ec_byte(four, 0), ec_byte(four, second));
        *x++ = ec_pack16(ec_byte(other, 0), ec_byte(other, second));
    }
}
#endif

/* The arguments of ec_quad_sums, in the order in which its assembly finds them. */
typedef struct {
    const uint32_t *x;                /* 0: two pixels' words in turns */
    const uint32_t *weights;          /* 4: [quads][steps][2]; moved on */
    const ec_channel *channels;       /* 8: moved on by four a quad */
    int8_t *out0, *out1;              /* 12, 16: of the two pixels; moved on by four a quad */
    int32_t quads;                    /* 20: > 0; 0 afterwards */
    int32_t row_bytes;                /* 24: of weights in a quad, 8 * steps */
    int32_t entry;                    /* 28: ec_quad_entry(steps) */
    int32_t twice_zero_point;         /* 32: 2 * out_zero_point + 1 */
} ec_quad;

#if EC_DSP_ASSEMBLY

/* Eight steps of 48 bytes are unrolled; the first round starts so far in that the rounds after it are whole. */
static inline int32_t ec_quad_entry(int32_t steps)
{
    return (-steps & 7) * 48;
}

#define EC_QUAD_STEP \
    "ldrd r0, r1, [r2], #8\n" \
    "ldrd r12, lr, [r3], #8\n" \
    "smlad r4, r0, r12, r4\n" \
    "smlad r5, r1, r12, r5\n" \
    "sxtb16 r12, r12\n" \
    "smlad r6, r0, r12, r6\n" \
    "smlad r7, r1, r12, r7\n" \
    "smlad r8, r0, lr, r8\n" \
    "smlad r9, r1, lr, r9\n" \
    "sxtb16 lr, lr\n" \
    "smlad r10, r0, lr, r10\n" \
    "smlad r11, r1, lr, r11\n"

/* Two doubled sums to two outputs: the channel's multiplier is in r1, 2 * zero_point + 1 in r2. */
#define EC_QUAD_OUTPUTS(a, b) \
    "smmulr " a ", " a ", r1\n" \
    "smmulr " b ", " b ", r1\n" \
    "ldr r0, [lr], #4\n" \
    "add " a ", " a ", " a ", asr #31\n" \
    "add " b ", " b ", " b ", asr #31\n" \
    "asr " a ", " a ", r0\n" \
    "asr " b ", " b ", r0\n" \
    "add " a ", " a ", r2\n" \
    "add " b ", " b ", r2\n" \
    "ssat " a ", #8, " a ", asr #1\n" \
    "ssat " b ", #8, " b ", asr #1\n" \
    "strb " a ", [r12], #1\n" \
    "strb " b ", [r3], #1\n"

/* Two filters: raw sums of the pixels in a0 and a1, sums of the first filter in b0 and b1. */
#define EC_QUAD_FILTERS(a0, a1, b0, b1) \
    "ldrd r0, r1, [lr], #8\n" \
    "sub " a0 ", " a0 ", " b0 "\n" \
    "sub " a1 ", " a1 ", " b1 "\n" \
    "add " b0 ", r0, " b0 ", lsl #1\n" \
    "add " b1 ", r0, " b1 ", lsl #1\n" \
    EC_QUAD_OUTPUTS(b0, b1) \
    "ldrd r0, r1, [lr], #8\n" \
    "add " a0 ", r0, " a0 ", asr #7\n" \
    "add " a1 ", r0, " a1 ", asr #7\n" \
    EC_QUAD_OUTPUTS(a0, a1)

static __attribute__((naked, noinline, unused)) void ec_quad_sums(__attribute__((unused)) ec_quad *quad)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #12\n"
            "str r0, [sp, #4]\n"
            "ldr r3, [r0, #4]\n"
            "1:\n"
            "ldr r2, [r0]\n"
            "ldr r1, [r0, #24]\n"
            "ldr r12, [r0, #28]\n"
            "adds r1, r1, r3\n"
            "str r1, [sp]\n"
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
            EC_QUAD_STEP EC_QUAD_STEP EC_QUAD_STEP EC_QUAD_STEP EC_QUAD_STEP EC_QUAD_STEP EC_QUAD_STEP EC_QUAD_STEP
            "ldr r0, [sp]\n"
            "cmp r3, r0\n"
            "bne.w 2b\n"
            "ldr r0, [sp, #4]\n"
            "str r3, [r0, #4]\n"
            "ldr lr, [r0, #8]\n"
            "ldrd r12, r3, [r0, #12]\n"
            "ldr r2, [r0, #32]\n"
            EC_QUAD_FILTERS("r4", "r5", "r6", "r7")
            EC_QUAD_FILTERS("r8", "r9", "r10", "r11")
            "ldr r0, [sp, #4]\n"
            "str lr, [r0, #8]\n"
            "strd r12, r3, [r0, #12]\n"
            "ldr r3, [r0, #4]\n"
            "ldr r1, [r0, #20]\n"
            "subs r1, #1\n"
            "str r1, [r0, #20]\n"
            "bne.w 1b\n"
            "add sp, #12\n"
            "pop {r4-r11, pc}\n");
}

#else

static inline int32_t ec_quad_entry(int32_t steps)
{
    (void)steps;
    return 0;
}

static inline uint32_t ec_dot16(uint32_t a, uint32_t b, uint32_t acc)
{
    const int32_t low = (int16_t)(uint16_t)(a & 0xffffu) * (int16_t)(uint16_t)(b & 0xffffu);
    const int32_t high = (int16_t)(uint16_t)(a >> 16) * (int16_t)(uint16_t)(b >> 16);
    return acc + (uint32_t)low + (uint32_t)high;
}

static inline int8_t ec_quad_filter(ec_quad *quad, int32_t filter, int32_t pixel, int32_t steps)
{
    uint32_t raw = 0, first = 0;
    for (int32_t step = 0; step < steps; step++) {
        const uint32_t word = quad->weights[2 * step + (filter >> 1)];
        raw = ec_dot16(quad->x[2 * step + pixel], word, raw);
        first = ec_dot16(quad->x[2 * step + pixel], ec_even_bytes(word), first);
    }
    const int32_t sum = (filter & 1) ? (int32_t)(raw - first) >> 8 : (int32_t)first;
    return ec_channel_output(quad->channels + filter, 2 * sum, quad->twice_zero_point);
}

static inline void ec_quad_sums(ec_quad *quad)
{
    const int32_t steps = quad->row_bytes / 8;
    for (; quad->quads != 0; quad->quads--) {
        for (int32_t filter = 0; filter < 4; filter++) {
            *quad->out0++ = ec_quad_filter(quad, filter, 0, steps);
            *quad->out1++ = ec_quad_filter(quad, filter, 1, steps);
        }
        quad->weights += 2 * steps;
        quad->channels += 4;
    }
}

#endif
#endif
