/* Dense layer, int8, for the DSP extension: one row of inputs against four filters, two of them in each word of weights (ec_conv2d_dsp_s8.c
 * tells how). A word of four inputs meets four words of weights in 16 instructions for 16 products; no scratch. */
#include "ec_dsp.h"
#include "ec_dsp_quad.h"

/* The arguments of dense_quads, in the order in which its assembly copies them to its stack. */
typedef struct {
    const int8_t *in;                 /* 0 */
    int32_t whole;                    /* 4: fours of inputs that are whole */
    uint32_t rest;                    /* 8: the inputs beyond them in a word, and whether there are any */
    int32_t has_rest;                 /* 12 */
    const int8_t *weights;            /* 16 */
    const int32_t *twice_bias;        /* 20 */
    const ec_scale *scale;            /* 24: its shift is the one before the last */
    int32_t scale_bytes;              /* 28 */
    int8_t *out;                      /* 32 */
    int32_t quads;                    /* 36: > 0 */
    int32_t twice_zero_point;         /* 40: 2 * out_zero_point + 1 */
} dense_job;

#if EC_DSP_ASSEMBLY

/* Inputs in r0; r8 and r10 sum words, r9 and r11 their first filters. */
#define PRODUCTS \
    "sxtb16 r1, r0\n" \
    "sxtb16 r0, r0, ror #8\n" \
    "ldm r3!, {r4-r7}\n" \
    "smlad r8, r1, r4, r8\n" \
    "sxtb16 r4, r4\n" \
    "smlad r9, r1, r4, r9\n" \
    "smlad r10, r1, r5, r10\n" \
    "sxtb16 r5, r5\n" \
    "smlad r11, r1, r5, r11\n" \
    "smlad r8, r0, r6, r8\n" \
    "sxtb16 r6, r6\n" \
    "smlad r9, r0, r6, r9\n" \
    "smlad r10, r0, r7, r10\n" \
    "sxtb16 r7, r7\n" \
    "smlad r11, r0, r7, r11\n"

#define FOUR "ldr r0, [r2], #4\n" PRODUCTS

/* A sum to an output, `twice` doubles it: bias at r4, scale at r5, bytes between scales in r6, out at r7. */
#define OUTPUT(sum, twice) \
    "ldr r0, [r4], #4\n" \
    "ldrd r1, r2, [r5]\n" \
    "add r5, r6\n" \
    "add " sum ", r0, " sum ", " twice "\n" \
    "smmulr " sum ", " sum ", r1\n" \
    "add " sum ", " sum ", " sum ", asr #31\n" \
    "asr " sum ", " sum ", r2\n" \
    "add " sum ", " sum ", r12\n" \
    "ssat " sum ", #8, " sum ", asr #1\n" \
    "strb " sum ", [r7], #1\n"

#define TWO_OUTPUTS(raw, first) \
    "sub " raw ", " raw ", " first "\n" \
    OUTPUT(first, "lsl #1") \
    OUTPUT(raw, "asr #7")

static __attribute__((naked, noinline)) void dense_quads(__attribute__((unused)) const dense_job *job)
{
    __asm__(".syntax unified\n"
            "push {r4-r11, lr}\n"
            "sub sp, #44\n"
            "ldm r0!, {r1-r6}\n"
            "stm sp, {r1-r6}\n"
            "ldm r0!, {r1-r5}\n"
            "add r0, sp, #24\n"
            "stm r0, {r1-r5}\n"
            "ldr r3, [sp, #16]\n"
            "1:\n"
            "ldrd r2, lr, [sp]\n"
            "mov r8, #0\n"
            "mov r9, #0\n"
            "mov r10, #0\n"
            "mov r11, #0\n"
            "lsrs r12, lr, #3\n"
            "beq.w 3f\n"
            "2:\n"
            FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR
            "subs r12, #1\n"
            "bne.w 2b\n"
            "3:\n"
            "ands lr, lr, #7\n"
            "beq.w 5f\n"
            "4:\n"
            FOUR
            "subs lr, #1\n"
            "bne.w 4b\n"
            "5:\n"
            "ldrd r0, r1, [sp, #8]\n"
            "cmp r1, #0\n"
            "beq.w 6f\n"
            PRODUCTS
            "6:\n"
            "ldrd r4, r5, [sp, #20]\n"
            "ldrd r6, r7, [sp, #28]\n"
            "ldr r12, [sp, #40]\n"
            TWO_OUTPUTS("r8", "r9")
            TWO_OUTPUTS("r10", "r11")
            "strd r4, r5, [sp, #20]\n"
            "str r7, [sp, #32]\n"
            "ldr r0, [sp, #36]\n"
            "subs r0, #1\n"
            "str r0, [sp, #36]\n"
            "bne.w 1b\n"
            "add sp, #44\n"
            "pop {r4-r11, pc}\n");
}

#else

static int32_t word_dot(uint32_t inputs, const int8_t *weights, int32_t filter)
{
    /* Words of weights: elements 0 and 2 of filters 0 and 1, then of filters 2 and 3; elements 1 and 3 likewise. */
    const int8_t *even = weights + 4 * (filter >> 1), *odd = even + 8;
    int32_t sum = 0;
    for (int32_t k = 0; k < 4; k++) {
        const int8_t *half = ((k & 1) != 0 ? odd : even) + (k >> 1) * 2;
        const int32_t first = half[0];
        const int32_t second = half[1] + (first < 0);
        sum += ec_byte(inputs, k) * ((filter & 1) != 0 ? second : first);
    }
    return sum;
}

static void dense_quads(const dense_job *job)
{
    const int32_t fours = job->whole + job->has_rest;
    const int8_t *weights = job->weights;
    const int32_t *twice_bias = job->twice_bias;
    const int8_t *scale = (const int8_t *)job->scale;
    int8_t *out = job->out;
    for (int32_t quad = 0; quad < job->quads; quad++, weights += 16 * fours) {
        for (int32_t filter = 0; filter < 4; filter++, scale += job->scale_bytes) {
            int32_t sum = 0;
            for (int32_t i = 0; i < fours; i++)
                sum += word_dot(i < job->whole ? ec_load_word(job->in + 4 * i) : job->rest, weights + 16 * i, filter);
            const ec_scale *s = (const ec_scale *)(const void *)scale;
            const ec_channel channel = { *twice_bias++, s->multiplier, s->shift };
            *out++ = ec_channel_output(&channel, 2 * sum, job->twice_zero_point);
        }
    }
}

#endif

void ec_fully_connected_dsp_s8(
        const ec_dense_params *p, const int8_t *in, const int8_t *weights, const int32_t *twice_bias, const ec_scale *scales, int8_t *out)
{
    const int32_t whole = p->in_len >> 2, rest = p->in_len & 3;
    const int32_t quads = p->out_len >> 2, last = p->out_len & 3;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        uint32_t word = 0;
        for (int32_t i = 0; i < rest; i++)
            word |= (uint32_t)(uint8_t)in[4 * whole + i] << (8 * i);
        dense_job job = { in, whole, word, rest != 0, weights, twice_bias, scales, p->scale_bytes, out, quads, 2 * p->out_zero_point + 1 };
        if (quads != 0)
            dense_quads(&job);
        if (last != 0) {
            int8_t four[4];
            job.weights = weights + quads * 16 * (whole + job.has_rest);
            job.twice_bias = twice_bias + 4 * quads;
            job.scale = scales + (p->scale_bytes != 0 ? 4 * quads : 0);
            job.out = four;
            job.quads = 1;
            dense_quads(&job);
            for (int32_t i = 0; i < last; i++)
                out[4 * quads + i] = four[i];
        }
        if (p->out_min > -128 || p->out_max < 127)
            for (int32_t i = 0; i < p->out_len; i++)
                out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
    }
}
