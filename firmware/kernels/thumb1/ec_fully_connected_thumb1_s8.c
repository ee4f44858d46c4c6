/* Dense layer, int8, for 16-bit Thumb: one row of inputs against four filters, whose weights stand side by side, raised by 128 so that LDRB
 * reads them at an offset: 14 instructions for 4 products; no scratch. What 128 adds is taken from the sums at the end. */
#include "ec_thumb1.h"

/* The arguments of sum_four, in the order in which its assembly finds them. */
typedef struct {
    const int8_t *in;                 /* 0 */
    const uint8_t *weights;           /* 4: [in_len][4]; moved on */
    const int8_t *eights_end;         /* 8: of inputs that are whole eights */
    const int8_t *end;                /* 12 */
    uint32_t sums[4];                 /* 16: of raised weights, modulo 2^32 */
} four_job;

#if defined(__ARM_ARCH_ISA_THUMB)

/* r0 an input, r1 a weight, r2 inputs, r3 weights, r4 to r7 sums. */
#define PRODUCT(place, sum) \
    "ldrb r1, [r3, #" #place "]\n" \
    "muls r1, r0, r1\n" \
    "adds " sum ", " sum ", r1\n"

#define ELEMENT(n, w0, w1, w2, w3) \
    "ldrb r0, [r2, #" #n "]\n" \
    "sxtb r0, r0\n" \
    PRODUCT(w0, "r4") PRODUCT(w1, "r5") PRODUCT(w2, "r6") PRODUCT(w3, "r7")

static __attribute__((naked, noinline)) void sum_four(__attribute__((unused)) four_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4, r5, r6, r7, lr}\n"
            "mov r12, r0\n"
            "ldr r2, [r0]\n"
            "ldr r3, [r0, #4]\n"
            "ldr r1, [r0, #8]\n"
            "mov lr, r1\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "cmp r2, lr\n"
            "beq 2f\n"
            "1:\n"
            ELEMENT(0, 0, 1, 2, 3) ELEMENT(1, 4, 5, 6, 7) ELEMENT(2, 8, 9, 10, 11) ELEMENT(3, 12, 13, 14, 15)
            ELEMENT(4, 16, 17, 18, 19) ELEMENT(5, 20, 21, 22, 23) ELEMENT(6, 24, 25, 26, 27) ELEMENT(7, 28, 29, 30, 31)
            "adds r2, #8\n"
            "adds r3, #32\n"
            "cmp r2, lr\n"
            "bne 1b\n"
            "2:\n"
            "mov r0, r12\n"
            "ldr r1, [r0, #12]\n"
            "mov lr, r1\n"
            "b 4f\n"
            "3:\n"
            ELEMENT(0, 0, 1, 2, 3)
            "adds r2, #1\n"
            "adds r3, #4\n"
            "4:\n"
            "cmp r2, lr\n"
            "bne 3b\n"
            "mov r0, r12\n"
            "str r3, [r0, #4]\n"
            "adds r0, #16\n"
            "stm r0!, {r4, r5, r6, r7}\n"
            "pop {r4, r5, r6, r7, pc}\n");
}

#else

static void sum_four(four_job *job)
{
    for (int32_t filter = 0; filter < 4; filter++) {
        job->sums[filter] = 0;
        for (int32_t i = 0; i < job->end - job->in; i++)
            job->sums[filter] += (uint32_t)(job->in[i] * job->weights[4 * i + filter]);
    }
    job->weights += 4 * (job->end - job->in);
}

#endif

void ec_fully_connected_thumb1_s8(
        const ec_dense_params *p, const int8_t *in, const uint8_t *weights, const int32_t *twice_bias, const ec_scale *scales, int8_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len) {
        int32_t raise = 0;
        EC_ROLLED
        for (int32_t i = 0; i < p->in_len; i++)
            raise += in[i];
        four_job job = { in, weights, in + (p->in_len & ~7), in + p->in_len, { 0 } };
        const int32_t *bias = twice_bias;
        const ec_scale *scale = scales;
        int32_t filter = 0;
        for (int32_t left = p->out_len; left > 0; left--, filter = (filter + 1) & 3, bias++, out++) {
            if (filter == 0)
                sum_four(&job);
            const int32_t sum = (int32_t)(job.sums[filter] - 128u * (uint32_t)raise) + (*bias >> 1);
            const int32_t high = ec_thumb1_high_product(sum, scale->multiplier);
            *out = (int8_t)ec_clamp(ec_thumb1_output(high, scale->shift, 2 * p->out_zero_point + 1), p->out_min, p->out_max);
            scale += p->scale_bytes != 0;
        }
    }
}
