/* ec_dot and ec_dot4 with the DSP extension (Cortex-M4, M7, M33): two products an instruction, four bytes a load.
 *
 * Differences of two int8 fit int16, and SMLAD wraps instead of saturating, so the sums are those of the plain loops in ec_dot.h. Words
 * are read from any address: these cores allow that unless CCR.UNALIGN_TRP is set, which start-up leaves clear.
 * Instructions: Arm C Language Extensions, section "32-bit SIMD intrinsics". */
#ifndef EC_DOT_DSP_H
#define EC_DOT_DSP_H

#include <arm_acle.h>

#include "ec_types.h"

typedef struct {
    uint32_t word;
} __attribute__((packed, may_alias)) ec_any_word;

static inline uint32_t ec_load4(const int8_t *at)
{
    return ((const ec_any_word *)at)->word;
}

/* Bytes 0 and 2, and bytes 1 and 3, each as two int16. Which of them come first does not matter: weights and inputs are taken apart
 * alike. */
static inline int16x2_t ec_even(uint32_t four)
{
    return __sxtb16((int8x4_t)four);
}

static inline int16x2_t ec_odd(uint32_t four)
{
    return __sxtb16((int8x4_t)(four >> 8 | four << 24));
}

/* acc + the products of four weights with four inputs. */
static inline int32_t ec_add_products(int16x2_t even, int16x2_t odd, const int8_t *w, int32_t acc)
{
    const uint32_t four = ec_load4(w);
    return __smlad(ec_odd(four), odd, __smlad(ec_even(four), even, acc));
}

/* The zero point, to be taken from two inputs at once. */
static inline int16x2_t ec_twice(int32_t zero_point)
{
    return (int16x2_t)((uint32_t)zero_point << 16 | ((uint32_t)zero_point & 0xffffu));
}

EC_OUT_OF_LINE int32_t ec_dot(const int8_t *in, const int8_t *w, int32_t n, int32_t zero_point)
{
    const int16x2_t zero = ec_twice(zero_point);
    int32_t acc = 0;
    EC_ROLLED
    for (const int8_t *end = in + (n & ~3); in != end; in += 4, w += 4) {
        const uint32_t four = ec_load4(in);
        acc = ec_add_products(__ssub16(ec_even(four), zero), __ssub16(ec_odd(four), zero), w, acc);
    }
    EC_ROLLED
    for (n &= 3; n != 0; n--)
        acc += *w++ * (*in++ - zero_point);
    return acc;
}

EC_OUT_OF_LINE void ec_dot4(const int8_t *in, const int8_t *w, int32_t n, int32_t zero_point, int32_t stride, int32_t acc[4])
{
    const int16x2_t zero = ec_twice(zero_point);
    int32_t acc0 = acc[0], acc1 = acc[1], acc2 = acc[2], acc3 = acc[3];
    EC_ROLLED
    for (const int8_t *end = in + (n & ~3); in != end; in += 4, w += 4) {
        const uint32_t four = ec_load4(in);
        const int16x2_t even = __ssub16(ec_even(four), zero), odd = __ssub16(ec_odd(four), zero);
        acc0 = ec_add_products(even, odd, w, acc0);
        acc1 = ec_add_products(even, odd, w + stride, acc1);
        acc2 = ec_add_products(even, odd, w + 2 * stride, acc2);
        acc3 = ec_add_products(even, odd, w + 3 * stride, acc3);
    }
    EC_ROLLED
    for (n &= 3; n != 0; n--, w++) {
        const int32_t x = *in++ - zero_point;
        acc0 += w[0] * x;
        acc1 += w[stride] * x;
        acc2 += w[2 * stride] * x;
        acc3 += w[3 * stride] * x;
    }
    acc[0] = acc0;
    acc[1] = acc1;
    acc[2] = acc2;
    acc[3] = acc3;
}

#endif
