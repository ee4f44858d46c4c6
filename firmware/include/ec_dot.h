/* Sums of products of contiguous int8: the innermost loops of convolutions and dense layers.
 *
 * They are functions of their own, and rolled: inlined or unrolled by the compiler they compete for thirteen registers with all the loops
 * around them and lose. The plain loops here define what is correct; ec_dot_dsp.h matches them bit for bit on cores with the DSP
 * extension. (For MVE, clang vectorises the plain loops; gcc 12 does not.)
 *
 * |w * (in - zero_point)| <= 2^15, so that 2^16 - 1 products stay within int32. */
#ifndef EC_DOT_H
#define EC_DOT_H

#include "ec_types.h"

#if defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_UNALIGNED) && !(defined(__ARM_FEATURE_MVE) && defined(__clang__))
#include "ec_dot_dsp.h"
#else

/* Thumb-1 has eight registers for most instructions, and loads signed bytes only from the sum of two of them. One index for all pointers
 * suits it; a compiler that sees how the pointers are related computes each address from the first one instead. */
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
#define EC_OPAQUE(pointer) __asm__("" : "+r"(pointer))
#else
#define EC_OPAQUE(pointer) ((void)0)
#endif

/* sum w * (in - zero_point) over n contiguous elements. */
EC_OUT_OF_LINE int32_t ec_dot(const int8_t *in, const int8_t *w, int32_t n, int32_t zero_point)
{
    int32_t acc = 0;
    in += n;
    w += n;
    EC_OPAQUE(in);
    EC_OPAQUE(w);
    EC_ROLLED
    for (int32_t i = -n; i != 0; i++)
        acc += w[i] * (in[i] - zero_point);
    return acc;
}

/* acc[f] += the same for four filters f that lie `stride` elements apart: one load of the input serves four products. */
EC_OUT_OF_LINE void ec_dot4(const int8_t *in, const int8_t *w, int32_t n, int32_t zero_point, int32_t stride, int32_t acc[4])
{
    int32_t acc0 = acc[0], acc1 = acc[1], acc2 = acc[2], acc3 = acc[3];
    const int8_t *w0 = w + n, *w1 = w0 + stride, *w2 = w1 + stride, *w3 = w2 + stride;
    in += n;
    EC_OPAQUE(in);
    EC_OPAQUE(w0);
    EC_OPAQUE(w1);
    EC_OPAQUE(w2);
    EC_OPAQUE(w3);
    EC_ROLLED
    for (int32_t i = -n; i != 0; i++) {
        const int32_t x = in[i] - zero_point;
        acc0 += w0[i] * x;
        acc1 += w1[i] * x;
        acc2 += w2[i] * x;
        acc3 += w3[i] * x;
    }
    acc[0] = acc0;
    acc[1] = acc1;
    acc[2] = acc2;
    acc[3] = acc3;
}

#endif
#endif
