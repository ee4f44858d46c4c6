/* ADD of tensors of one shape, int8, for 16-bit Thumb: what the second input adds to the sum comes from a table, 38 instructions an element. */
#include "ec_add_row.h"
#include "ec_thumb1.h"

typedef struct {
    const int8_t *a, *b;              /* 0, 4 */
    const int8_t *a_end;              /* 8 */
    const int32_t *table;             /* 12: [256] by the bits of b */
    int32_t multiplier;               /* 16 */
    int8_t *out;                      /* 20 */
    uint32_t middle;                  /* 24: 2^30 makes it unsigned, 2^15 rounds */
    int32_t shift_before_last;        /* 28 */
    int32_t twice_zero_point;         /* 32: 2 * out_zero_point + 1 */
} add_job;

#define MIDDLE ((1u << 30) + (1u << 15))

#if defined(__ARM_ARCH_ISA_THUMB)

/* r0 a, r1 b, r2 and r3 the halves of the multiplier, r7 2^14; the products are those of ec_thumb1_high_product, one bit further down. */
static __attribute__((naked, noinline)) void add_all(__attribute__((unused)) const add_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4, r5, r6, r7, lr}\n"
            "mov r4, r8\n"
            "mov r5, r9\n"
            "mov r6, r10\n"
            "mov r7, r11\n"
            "push {r4, r5, r6, r7}\n"
            "movs r7, r0\n"
            "ldm r7!, {r0, r1, r2, r3, r4, r5}\n"
            "mov lr, r2\n"
            "mov r9, r3\n"
            "subs r5, r5, r0\n"
            "mov r8, r5\n"
            "lsrs r2, r4, #16\n"
            "uxth r3, r4\n"
            "ldm r7!, {r4, r5, r6}\n"
            "mov r10, r4\n"
            "mov r11, r5\n"
            "mov r12, r6\n"
            "movs r7, #1\n"
            "lsls r7, r7, #14\n"
            "1:\n"
            "ldrb r4, [r1]\n"
            "adds r1, #1\n"
            "lsls r4, r4, #2\n"
            "mov r5, r9\n"
            "ldr r4, [r5, r4]\n"
            "ldrb r5, [r0]\n"
            "sxtb r5, r5\n"
            "lsls r5, r5, #20\n"
            "adds r4, r4, r5\n"
            "uxth r5, r4\n"
            "asrs r4, r4, #16\n"
            "movs r6, r5\n"
            "muls r6, r3, r6\n"
            "lsrs r6, r6, #16\n"
            "muls r5, r2, r5\n"
            "adds r5, r5, r6\n"
            "movs r6, r4\n"
            "muls r6, r3, r6\n"
            "adds r5, r5, r6\n"
            "add r5, r10\n"
            "lsrs r5, r5, #16\n"
            "muls r4, r2, r4\n"
            "adds r4, r4, r5\n"
            "subs r4, r4, r7\n"
            "asrs r5, r4, #31\n"
            "adds r4, r4, r5\n"
            "mov r5, r11\n"
            "asrs r4, r5\n"
            "add r4, r12\n"
            "asrs r4, r4, #1\n"
            "sxtb r5, r4\n"
            "cmp r5, r4\n"
            "bne 3f\n"
            "2:\n"
            "mov r5, r8\n"
            "strb r4, [r0, r5]\n"
            "adds r0, #1\n"
            "cmp r0, lr\n"
            "bne 1b\n"
            "pop {r4, r5, r6, r7}\n"
            "mov r8, r4\n"
            "mov r9, r5\n"
            "mov r10, r6\n"
            "mov r11, r7\n"
            "pop {r4, r5, r6, r7, pc}\n"
            "3:\n"
            "asrs r4, r4, #31\n"
            "movs r5, #127\n"
            "eors r4, r5\n"
            "b 2b\n");
}

#else

static void add_all(const add_job *job)
{
    const int32_t high = job->multiplier >> 16, low = job->multiplier & 0xffff;
    int8_t *out = job->out;
    for (const int8_t *a = job->a, *b = job->b; a != job->a_end; a++, b++) {
        const int32_t x = *a * (1 << 20) + job->table[(uint8_t)*b], x_high = x >> 16;
        const uint32_t x_low = (uint32_t)x & 0xffff;
        const uint32_t middle = x_low * (uint32_t)high + (x_low * (uint32_t)low >> 16) + (uint32_t)(x_high * low) + job->middle;
        const int32_t value = x_high * high + (int32_t)(middle >> 16) - (1 << 14);
        *out++ = ec_thumb1_output(value, job->shift_before_last, job->twice_zero_point);
    }
}

#endif

void ec_add_thumb1_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *scratch, int8_t *out)
{
    int32_t *const table = (int32_t *)(void *)scratch;
    for (int32_t i = -128; i < 128; i++)
        table[(uint8_t)i] = p->a_offset + p->b_sign * ec_multiply_high_word(i * p->b_weight + p->b_offset, p->b_scale);
    const add_job job = {
        a, b, a + count, table, p->out_scale.multiplier, out, MIDDLE, -1 - p->out_scale.shift,
        2 * p->out_zero_point + 1,
    };
    if (count > 0)
        add_all(&job);
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < count; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
