/* Dense layer, int8, for Thumb-2 without DSP: one row of inputs against four filters, two elements a product; no scratch.
 *
 * With two inputs in one word, x = a + 2^16 b, and two weights in another, w = v + 2^16 u, the product is a v + 2^16 (a u + b v) modulo 2^32.
 * 2^15 more make the low half positive, so that a shift by 16 leaves a u + b v exactly: a multiplication and an addition for two products, as
 * many as single elements take, at half of the loads. Weights are stored raised by 128, because one AND takes two of them from a word;
 * MLA gets what that adds, 2^15 - x * (128 + 2^23), once for all filters. 17 instructions for 8 products. */
#include "ec_thumb2.h"

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2
#define ASSEMBLY 1
#else
#define ASSEMBLY 0
#endif

#define PAIR_BYTES 8

/* The arguments of dense_fours, in the order in which its assembly finds them. */
typedef struct {
    const int8_t *in;                 /* 0 */
    const uint8_t *weights;           /* 4 */
    int32_t four_bytes;               /* 8: of the weights of four filters, the last one of an odd number of elements left out */
    int32_t odd;                      /* 12: whether there is such an element */
    int32_t entry;                    /* 16: entry_for(pairs) */
    const int32_t *twice_bias;        /* 20 */
    const ec_scale *scale;            /* 24: its shift is the one before the last */
    int32_t scale_bytes;              /* 28 */
    int8_t *out;                      /* 32 */
    int32_t twice_zero_point;         /* 36: 2 * out_zero_point + 1 */
    int32_t fours;                    /* 40: > 0; 0 afterwards */
} dense_job;

#if ASSEMBLY

#define PAIR_CODE_BYTES 68

/* Two filters from a word of weights, which is lost: r0 the inputs, r1 what is added, r11 0x00FF00FF. */
#define TWO_FILTERS(word, first, second) \
    "and r10, " word ", r11\n" \
    "mla r10, r0, r10, r1\n" \
    "add " first ", " first ", r10, asr #16\n" \
    "and " word ", r11, " word ", lsr #8\n" \
    "mla " word ", r0, " word ", r1\n" \
    "add " second ", " second ", " word ", asr #16\n"

/* Inputs in r0, at r3 weights; r12 128 + 2^23, lr 2^15. */
#define PRODUCTS \
    "mls r1, r0, r12, lr\n" \
    "ldm r3!, {r8, r9}\n" \
    TWO_FILTERS("r8", "r4", "r5") TWO_FILTERS("r9", "r6", "r7")

#define PAIR \
    "ldrsb r0, [r2], #1\n" \
    "ldrsb r1, [r2], #1\n" \
    "add r0, r0, r1, lsl #16\n" \
    PRODUCTS

/* r0 bias, r1 scale, r2 bytes between scales, r12 out, lr what the zero point adds. */
#define OUTPUT(sum) \
    "ldr r8, [r0], #4\n" \
    "ldrd r9, r10, [r1]\n" \
    "add r1, r2\n" \
    "add " sum ", r8, " sum ", lsl #1\n" \
    "smull r8, " sum ", " sum ", r9\n" \
    "add " sum ", " sum ", r8, lsr #31\n" \
    "add " sum ", " sum ", " sum ", asr #31\n" \
    "asr " sum ", " sum ", r10\n" \
    "add " sum ", " sum ", lr\n" \
    "ssat " sum ", #8, " sum ", asr #1\n" \
    "strb " sum ", [r12], #1\n"

static __attribute__((naked, noinline)) void dense_fours(__attribute__((unused)) dense_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #8\n"
            "str r0, [sp]\n"
            "ldr r3, [r0, #4]\n"
            "mov r11, #0x00ff00ff\n"
            "1:\n"
            "mov r12, #0x00800080\n"
            "mov lr, #0x8000\n"
            "ldr r2, [r0]\n"
            "ldr r1, [r0, #8]\n"
            "add r1, r3\n"
            "str r1, [sp, #4]\n"
            "ldr r8, [r0, #16]\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "cmp r1, r3\n"
            "beq.w 3f\n"
            "add pc, r8\n"
            "nop\n"
            "2:\n"
            PAIR PAIR PAIR PAIR
            "ldr r0, [sp, #4]\n"
            "cmp r3, r0\n"
            "bne.w 2b\n"
            "3:\n"
            "ldr r8, [sp]\n"
            "ldr r1, [r8, #12]\n"
            "cmp r1, #0\n"
            "beq 4f\n"
            "ldrsb r0, [r2]\n"
            PRODUCTS
            "ldr r8, [sp]\n"
            "4:\n"
            "ldrd r0, r1, [r8, #20]\n"
            "ldrd r2, r12, [r8, #28]\n"
            "ldr lr, [r8, #36]\n"
            OUTPUT("r4") OUTPUT("r5") OUTPUT("r6") OUTPUT("r7")
            "ldr r8, [sp]\n"
            "strd r0, r1, [r8, #20]\n"
            "str r12, [r8, #32]\n"
            "ldr r1, [r8, #40]\n"
            "mov r0, r8\n"
            "subs r1, #1\n"
            "str r1, [r8, #40]\n"
            "bne.w 1b\n"
            "str r3, [r8, #4]\n"
            "add sp, #8\n"
            "pop {r4-r11, pc}\n");
}

/* Four pairs are unrolled; the first round starts so far in that the rounds after it are whole. */
static int32_t entry_for(int32_t pairs)
{
    return (-pairs & 3) * PAIR_CODE_BYTES;
}

#else

/* A product of two inputs and two weights, as the assembly makes it. */
static int32_t pair_product(int32_t a, int32_t b, uint32_t weights)
{
    const uint32_t x = (uint32_t)a + ((uint32_t)b << 16);
    return (int32_t)(x * (weights & 0x00FF00FFu) + 0x8000u - x * 0x00800080u) >> 16;
}

static void dense_fours(dense_job *job)
{
    const int32_t whole = job->four_bytes / PAIR_BYTES, pairs = whole + job->odd;
    for (; job->fours != 0; job->fours--, job->weights += pairs * PAIR_BYTES) {
        for (int32_t filter = 0; filter < 4; filter++, job->twice_bias++) {
            int32_t sum = 0;
            for (int32_t i = 0; i < pairs; i++) {
                const uint32_t word = ec_load_word((const int8_t *)job->weights + PAIR_BYTES * i + 4 * (filter >> 1)) >> 8 * (filter & 1);
                sum += pair_product(job->in[2 * i], i < whole ? job->in[2 * i + 1] : 0, word);
            }
            const ec_channel channel = { *job->twice_bias, job->scale->multiplier, job->scale->shift };
            *job->out++ = ec_channel_output(&channel, 2 * sum, job->twice_zero_point);
            job->scale += job->scale_bytes / (int32_t)sizeof(ec_scale);
        }
    }
}

static int32_t entry_for(int32_t pairs)
{
    (void)pairs;
    return 0;
}

#endif

void ec_fully_connected_thumb2_s8(
        const ec_dense_params *p, const int8_t *in, const uint8_t *weights, const int32_t *twice_bias, const ec_scale *scales, int8_t *out)
{
    const int32_t pairs = p->in_len >> 1, rest = p->out_len & 3;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        dense_job job = {
            in, weights, pairs * PAIR_BYTES, p->in_len & 1, entry_for(pairs), twice_bias, scales, p->scale_bytes, out,
            2 * p->out_zero_point + 1, p->out_len >> 2,
        };
        if (job.fours != 0)
            dense_fours(&job);
        if (rest != 0) {
            int8_t four[4];
            int8_t *const to = job.out;
            job.out = four;
            job.fours = 1;
            dense_fours(&job);
            for (int32_t i = 0; i < rest; i++)
                to[i] = four[i];
        }
        if (p->out_min > -128 || p->out_max < 127)
            for (int32_t i = 0; i < p->out_len; i++)
                out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
    }
}
