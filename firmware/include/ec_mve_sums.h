/* Four filters against two pixels: the inner loop of convolutions and dense layers with MVE, and what surrounds it.
 *
 * Weights of a four of filters: first the elements that make no whole vector, [4][tail]; then [blocks][4][16]. A sum starts with the bias. */
#ifndef EC_MVE_SUMS_H
#define EC_MVE_SUMS_H

#include "ec_mve.h"
#include "ec_requantize.h"

#if defined(__ARM_FEATURE_MVE) && defined(__thumb__)
#define EC_MVE_VECTORS 1
#include <arm_mve.h>
#else
#define EC_MVE_VECTORS 0
#endif

/* What four channels need, side by side as vectors take it. */
typedef struct {
    int32_t bias[4];
    int32_t multiplier[4];
    int32_t shift[4];                 /* in [-31, -1] */
} ec_mve_four;

#if EC_MVE_VECTORS

/* `count` bits of each of four channels, as ec_field. */
static inline uint32x4_t ec_mve_fields(const uint8_t *data, uint32x4_t bits, int32_t count, mve_pred16_t some)
{
    const uint32x4_t at = vshrq_n_u32(bits, 3);
    uint32x4_t words = vldrbq_gather_offset_z_u32(data, at, some);
    words = vsliq_n_u32(words, vldrbq_gather_offset_z_u32(data + 1, at, some), 8);
    words = vsliq_n_u32(words, vldrbq_gather_offset_z_u32(data + 2, at, some), 16);
    words = vsliq_n_u32(words, vldrbq_gather_offset_z_u32(data + 3, at, some), 24);
    words = vshlq_u32(words, vnegq_s32(vreinterpretq_s32_u32(vandq_u32(bits, vdupq_n_u32(7)))));
    return vandq_u32(words, vdupq_n_u32((1u << count) - 1));
}

/* ec_unpack_channel of four channels. */
static inline void ec_mve_unpack_four(ec_mve_four *four, const ec_channel_data *d, uint32x4_t bits, mve_pred16_t some)
{
    const uint8_t *const data = (const uint8_t *)d->data;
    const uint32x4_t shift_bits = vaddq_n_u32(bits, 23), bias_bits = vaddq_n_u32(shift_bits, d->shift_bits);
    /* 256 times the product of 55 or 56 bits, in two words. */
    const uint32x4_t mantissa = vshlq_n_u32(vorrq_u32(ec_mve_fields(data, bits, 23, some), vdupq_n_u32(1u << 23)), 8);
    const uint32x4_t low_part = vshrq_n_u32(vmulhq_u32(mantissa, vdupq_n_u32((uint32_t)d->ratio_low << 16)), 8);
    const uint32x4_t before = vmulq_n_u32(mantissa, d->ratio_high);
    const uint32x4_t low = vaddq_u32(before, vshlq_n_u32(low_part, 8));
    uint32x4_t high = vmulhq_u32(mantissa, vdupq_n_u32(d->ratio_high));
    high = vaddq_m_n_u32(high, high, 1, vcmphiq_u32(before, low));
    const mve_pred16_t over = vcmpltq_n_s32(vreinterpretq_s32_u32(high), 0);
    const uint32x4_t multiplier = vpselq_u32(vrshrq_n_u32(high, 1), vaddq_u32(high, vshrq_n_u32(low, 31)), over);
    int32x4_t shift = vreinterpretq_s32_u32(ec_mve_fields(data, shift_bits, d->shift_bits, some));
    shift = vsubq_s32(vdupq_n_s32(-1 - d->shift_base), shift);
    vstrwq_s32(four->shift, vaddq_m_n_s32(shift, shift, 1, over));
    vstrwq_s32(four->multiplier, vreinterpretq_s32_u32(multiplier));
    const int32x4_t bias = vreinterpretq_s32_u32(ec_mve_fields(data, bias_bits, d->bias_bits, some));
    vstrwq_s32(four->bias, vaddq_n_s32(bias, d->bias_min));
}

static inline void ec_mve_copy_four(ec_mve_four *four, const ec_channel *channels, mve_pred16_t some)
{
    const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), sizeof(ec_channel));
    const int32x4_t bias = vldrwq_gather_offset_z_s32(&channels->twice_bias, places, some);
    const int32x4_t shift = vldrwq_gather_offset_z_s32(&channels->shift_before_last, places, some);
    vstrwq_s32(four->bias, vshrq_n_s32(bias, 1));
    vstrwq_s32(four->multiplier, vldrwq_gather_offset_z_s32(&channels->multiplier, places, some));
    vstrwq_s32(four->shift, vsubq_s32(vdupq_n_s32(-1), shift));
}

/* All channels, the last four padded with what does no harm. */
EC_OUT_OF_LINE void ec_mve_fill_fours(ec_mve_four *fours, const ec_channel_data *data, int32_t channels)
{
    const uint32_t width = 23u + data->shift_bits + data->bias_bits;
    const ec_channel *plain = (const ec_channel *)data->data;
    uint32x4_t bits = vmulq_n_u32(vidupq_n_u32(0, 1), width);
    EC_ROLLED
    for (int32_t left = channels; left > 0; left -= 4, fours++, plain += 4, bits = vaddq_n_u32(bits, 4 * width)) {
        if (data->bias_bits != 0)
            ec_mve_unpack_four(fours, data, bits, vctp32q((uint32_t)left));
        else
            ec_mve_copy_four(fours, plain, vctp32q((uint32_t)left));
    }
}

#else

/* All channels, the last four padded. */
EC_OUT_OF_LINE void ec_mve_fill_fours(ec_mve_four *fours, const ec_channel_data *data, int32_t channels)
{
    const ec_channel *plain = (const ec_channel *)data->data;
    EC_ROLLED
    for (int32_t i = 0, bit = 0; i < channels; i++, bit += 23 + data->shift_bits + data->bias_bits) {
        const ec_channel channel = data->bias_bits != 0 ? ec_unpack_channel(data, bit) : plain[i];
        ec_mve_four *const four = fours + (i >> 2);
        four->bias[i & 3] = channel.twice_bias >> 1;
        four->multiplier[i & 3] = channel.multiplier;
        four->shift[i & 3] = -1 - channel.shift_before_last;
    }
    EC_ROLLED
    for (int32_t i = channels; (i & 3) != 0; i++) {
        ec_mve_four *const four = fours + (i >> 2);
        four->bias[i & 3] = four->multiplier[i & 3] = 0;
        four->shift[i & 3] = -1;
    }
}

#endif

/* The length of a filter in vectors, and how the assembly goes through it. */
typedef struct {
    int32_t tail;                     /* elements before the whole vectors, in [0, 15] */
    int32_t blocks;                   /* whole vectors of 16 */
    int32_t rounds, entry;            /* of the unrolled loop */
} ec_mve_length;

#define EC_MVE_UNROLLED 4
#define EC_MVE_BLOCK_BYTES 56

static inline ec_mve_length ec_mve_length_of(int32_t elements)
{
    ec_mve_length l;
    l.tail = elements & 15;
    l.blocks = elements >> 4;
    l.rounds = (l.blocks + EC_MVE_UNROLLED - 1) / EC_MVE_UNROLLED;
    /* The first round starts so far in that the rounds after it are whole; without any, behind the loop's end of 6 bytes. */
    l.entry = l.blocks == 0 ? EC_MVE_UNROLLED * EC_MVE_BLOCK_BYTES + 6 : (-l.blocks & (EC_MVE_UNROLLED - 1)) * EC_MVE_BLOCK_BYTES;
    return l;
}

/* The arguments of ec_mve_sums, in the order in which its assembly finds them. */
typedef struct {
    const int8_t *x0, *x1;            /* 0, 4: two pixels' windows; moved on */
    int32_t rounds;                   /* 8 */
    uint32_t start, loop;             /* 12, 16: where a sum starts and goes on, set by the assembly */
    const int8_t *weights;            /* 20 */
    const ec_mve_four *fours, *end;   /* 24, 28: at least one */
    int8_t *out0, *out1;              /* 32, 36: of the two pixels; moved on */
    int32_t x_step;                   /* 40: bytes from a pair of pixels to the next */
    int32_t out_step;                 /* 44: bytes from behind a pixel's last output to the same pixel of the next pair */
    int32_t pairs;                    /* 48: > 0; 0 afterwards */
    int32_t tail;                     /* 52 */
    int32_t entry;                    /* 56 */
    int32_t zero_point, low, high;    /* 60, 64, 68 */
    int32_t blocks;                   /* 72 */
} ec_mve_job;

#if EC_MVE_VECTORS

#define EC_MVE_BLOCK \
    "vldrb.u8 q0, [r3], #16\n" \
    "vldrb.u8 q2, [r1], #16\n" \
    "vmladava.s8 r0, q2, q0\n" \
    "vldrb.u8 q1, [r5], #16\n" \
    "vmladava.s8 r8, q2, q1\n" \
    "vldrb.u8 q3, [r1], #16\n" \
    "vmladava.s8 r2, q3, q0\n" \
    "vmladava.s8 r10, q3, q1\n" \
    "vldrb.u8 q2, [r1], #16\n" \
    "vmladava.s8 r4, q2, q0\n" \
    "vmladava.s8 r12, q2, q1\n" \
    "vldrb.u8 q3, [r1], #16\n" \
    "vmladava.s8 r6, q3, q0\n" \
    "vmladava.s8 lr, q3, q1\n"

/* A vector of weights may reach beyond the filter's tail, into the next ones: there the inputs are 0. */
#define EC_MVE_TAIL(a, b) \
    "vldrb.u8 q2, [r1]\n" \
    "add r1, r7\n" \
    "vmladava.s8 " a ", q2, q0\n" \
    "vmladava.s8 " b ", q2, q1\n"

/* Halves go away from zero: one less before the rounding shift of a negative number. */
#define EC_MVE_AWAY_FROM_ZERO \
    "vshr.s32 q2, q0, #31\n" \
    "vadd.i32 q0, q0, q2\n" \
    "vshr.s32 q2, q1, #31\n" \
    "vadd.i32 q1, q1, q2\n"

#define EC_MVE_SUMS(rounding) \
    __asm__(".syntax unified\n" \
            "push {r4-r11, lr}\n" \
            "vpush {d8-d13}\n" \
            "mov r11, r0\n" \
            "ldrd r1, r2, [r11, #60]\n" \
            "ldr r3, [r11, #68]\n" \
            "vdup.32 q4, r1\n" \
            "vdup.32 q5, r2\n" \
            "vdup.32 q6, r3\n" \
            "ldrd r7, r5, [r11, #52]\n" \
            "adr.w r3, 4f\n" \
            "add r3, r5\n" \
            "orr r3, r3, #1\n" \
            "str r3, [r11, #16]\n" \
            "cbz r7, 1f\n" \
            "vctp.8 r7\n" \
            "adr.w r3, 3f\n" \
            "orr r3, r3, #1\n" \
            "1:\n" \
            "str r3, [r11, #12]\n" \
            "8:\n" /* a pair of pixels */ \
            "ldrd r1, r9, [r11, #20]\n" \
            "2:\n" /* a four of filters */ \
            "ldrd r3, r5, [r11]\n" \
            "ldr r7, [r11, #8]\n" \
            "ldm r9, {r0, r2, r4, r6}\n" \
            "ldm r9!, {r8, r10, r12, lr}\n" \
            "ldr.w pc, [r11, #12]\n" \
            "3:\n" \
            "vpstt\n" \
            "vldrbt.u8 q0, [r3]\n" \
            "vldrbt.u8 q1, [r5]\n" \
            "ldr r7, [r11, #52]\n" \
            "add r3, r7\n" \
            "add r5, r7\n" \
            EC_MVE_TAIL("r0", "r8") EC_MVE_TAIL("r2", "r10") EC_MVE_TAIL("r4", "r12") EC_MVE_TAIL("r6", "lr") \
            "ldr r7, [r11, #8]\n" \
            "ldr.w pc, [r11, #16]\n" \
            ".balign 4\n" \
            "4:\n" \
            EC_MVE_BLOCK EC_MVE_BLOCK EC_MVE_BLOCK EC_MVE_BLOCK \
            "subs r7, #1\n" \
            "bne.w 4b\n" \
            "vmov q0[2], q0[0], r0, r4\n" \
            "vmov q0[3], q0[1], r2, r6\n" \
            "vmov q1[2], q1[0], r8, r12\n" \
            "vmov q1[3], q1[1], r10, lr\n" \
            "vldrw.u32 q2, [r9], #16\n" \
            "vldrw.u32 q3, [r9], #16\n" \
            "vqrdmulh.s32 q0, q0, q2\n" \
            "vqrdmulh.s32 q1, q1, q2\n" \
            "ldrd r3, r5, [r11, #32]\n" \
            rounding \
            "vrshl.s32 q0, q0, q3\n" \
            "vrshl.s32 q1, q1, q3\n" \
            "ldr r7, [r11, #28]\n" \
            "vadd.i32 q0, q0, q4\n" \
            "vadd.i32 q1, q1, q4\n" \
            "vmax.s32 q0, q0, q5\n" \
            "vmax.s32 q1, q1, q5\n" \
            "vmin.s32 q0, q0, q6\n" \
            "vmin.s32 q1, q1, q6\n" \
            "vstrb.32 q0, [r3], #4\n" \
            "vstrb.32 q1, [r5], #4\n" \
            "strd r3, r5, [r11, #32]\n" \
            "cmp r9, r7\n" \
            "bne.w 2b\n" \
            "ldrd r0, r2, [r11, #40]\n" \
            "add r3, r2\n" \
            "add r5, r2\n" \
            "strd r3, r5, [r11, #32]\n" \
            "ldrd r3, r5, [r11]\n" \
            "add r3, r0\n" \
            "add r5, r0\n" \
            "strd r3, r5, [r11]\n" \
            "ldr r7, [r11, #48]\n" \
            "subs r7, #1\n" \
            "str r7, [r11, #48]\n" \
            "bne.w 8b\n" \
            "vpop {d8-d13}\n" \
            "pop {r4-r11, pc}\n")

static __attribute__((naked, noinline, unused)) void ec_mve_sums_exact(__attribute__((unused)) ec_mve_job *job)
{
    EC_MVE_SUMS(EC_MVE_AWAY_FROM_ZERO);
}

/* Where what is negative is clamped to the zero point anyway. */
static __attribute__((naked, noinline, unused)) void ec_mve_sums_clamped(__attribute__((unused)) ec_mve_job *job)
{
    EC_MVE_SUMS("");
}

#else

static inline int32_t ec_mve_dot(const ec_mve_job *job, const int8_t *weights, int32_t filter, const int8_t *x, int32_t sum)
{
    for (int32_t k = 0; k < job->tail; k++)
        sum += weights[filter * job->tail + k] * *x++;
    const int8_t *block = weights + 4 * job->tail + 16 * filter;
    for (int32_t n = job->blocks; n != 0; n--, block += 64)
        for (int32_t k = 0; k < 16; k++)
            sum += block[k] * *x++;
    return sum;
}

static inline int8_t ec_mve_output(const ec_mve_job *job, const ec_mve_four *four, int32_t filter, int32_t sum)
{
    const ec_scale scale = { four->multiplier[filter], four->shift[filter] };
    return ec_requantize(sum, scale, job->zero_point, job->low, job->high);
}

static inline void ec_mve_sums_exact(ec_mve_job *job)
{
    for (; job->pairs != 0; job->pairs--) {
        const int8_t *weights = job->weights;
        for (const ec_mve_four *four = job->fours; four != job->end; four++, weights += 4 * (job->tail + 16 * job->blocks)) {
            int8_t out[2][4];
            for (int32_t filter = 0; filter < 4; filter++) {
                out[0][filter] = ec_mve_output(job, four, filter, ec_mve_dot(job, weights, filter, job->x0, four->bias[filter]));
                out[1][filter] = ec_mve_output(job, four, filter, ec_mve_dot(job, weights, filter, job->x1, four->bias[filter]));
            }
            for (int32_t filter = 0; filter < 4; filter++) {
                *job->out0++ = out[0][filter];
                *job->out1++ = out[1][filter];
            }
        }
        job->x0 += job->x_step;
        job->x1 += job->x_step;
        job->out0 += job->out_step;
        job->out1 += job->out_step;
    }
}

static inline void ec_mve_sums_clamped(ec_mve_job *job)
{
    ec_mve_sums_exact(job);
}

#endif

static inline void ec_mve_sums(ec_mve_job *job)
{
    if (job->low >= job->zero_point)
        ec_mve_sums_clamped(job);
    else
        ec_mve_sums_exact(job);
}

#endif
