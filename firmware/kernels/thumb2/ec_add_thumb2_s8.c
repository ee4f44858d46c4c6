/* ADD of tensors of one shape, int8, for Thumb-2 without DSP: all parameters of ec_add_row stay in registers, 17 instructions an element. */
#include "ec_add_row.h"
#include "ec_thumb2.h"

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2

/* What the assembly finds in registers r4 to r11 and lr. */
typedef struct {
    int32_t b_weight, b_offset, b_multiplier, b_shift_before_last;
    int32_t a_offset_and_one;         /* rounds the term as well: a_offset is even */
    int32_t out_multiplier, out_shift_before_last;
    int32_t twice_zero_point;         /* 2 * out_zero_point + 1 */
    const int8_t *a_end;
} registers;

/* r0 a, r1 b, r2 out. High words are rounded by the top bit of the low ones; twice the term, rounded, is (x + 1) & ~1 of the term before its
 * last shift. */
#define ELEMENT \
    "ldrsb r3, [r1], #1\n" \
    "mla r3, r3, r4, r5\n" \
    "smull r12, r3, r3, r6\n" \
    "add r3, r3, r12, lsr #31\n" \
    "ldrsb r12, [r0], #1\n" \
    "add r3, r3, r3, asr #31\n" \
    "asr r3, r3, r7\n" \
    "add r3, r3, r8\n" \
    "bic r3, r3, #1\n" \
    "add r3, r3, r12, lsl #20\n" \
    "smull r12, r3, r3, r9\n" \
    "add r3, r3, r12, lsr #31\n" \
    "add r3, r3, r3, asr #31\n" \
    "asr r3, r3, r10\n" \
    "add r3, r3, r11\n" \
    "ssat r3, #8, r3, asr #1\n" \
    "strb r3, [r2], #1\n"

static __attribute__((naked, noinline)) void add_pairs(
        __attribute__((unused)) const int8_t *a, __attribute__((unused)) const int8_t *b, __attribute__((unused)) int8_t *out,
        __attribute__((unused)) const registers *constants)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "ldm r3, {r4-r11, lr}\n"
            "1:\n"
            ELEMENT ELEMENT
            "cmp r0, lr\n"
            "bne 1b\n"
            "pop {r4-r11, pc}\n");
}

void ec_add_thumb2_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    const int32_t even = count & ~1;
    const registers constants = {
        p->b_weight, p->b_offset, p->b_scale.multiplier, -1 - p->b_scale.shift,
        p->a_offset + 1, p->out_scale.multiplier, -1 - p->out_scale.shift,
        2 * p->out_zero_point + 1, a + even,
    };
    if (even != 0)
        add_pairs(a, b, out, &constants);
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < even; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
    ec_add_row(p, a + even, 1, b + even, 1, count - even, out + even);
}

#else

void ec_add_thumb2_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out)
{
    ec_add_row(p, a, 1, b, 1, count, out);
}

#endif
