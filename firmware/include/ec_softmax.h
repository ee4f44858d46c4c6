/* What the SOFTMAX kernels share: the sum of a row and its reciprocal. */
#ifndef EC_SOFTMAX_H
#define EC_SOFTMAX_H

#include "ec_activation.h"
#include "ec_requantize.h"

/* 1 / sum as `factor * 2^(-31 - over_unit)`. */
typedef struct {
    int32_t factor;
    int32_t over_unit;               /* [0, 11] */
} ec_reciprocal;

static inline int32_t ec_row_max(const int8_t *row, int32_t depth)
{
    int32_t max = row[0];
    for (int32_t i = 1; i < depth; i++)
        max = row[i] > max ? row[i] : max;
    return max;
}

/* The sum of exponentials, 19 fraction bits, each rounded half up: below 2^31 for up to 4095 elements, at least 2^19. */
static inline uint32_t ec_row_sum(const ec_softmax_params *p, const int8_t *row, int32_t max)
{
    uint32_t sum = 0;
    for (int32_t i = 0; i < p->depth; i++) {
        const int32_t difference = max - row[i];
        if (difference < p->entries)
            sum += ((uint32_t)p->exponentials[difference] + (1u << 11)) >> 12;
    }
    return sum;
}

/* Newton's division, three steps. Source: GetReciprocal (tensorflow/lite/kernels/internal/common.h) and
 * one_over_one_plus_x_for_x_in_0_1 (gemmlowp/fixedpoint). sum in [2^19, 2^31). */
static inline ec_reciprocal ec_reciprocal_of(uint32_t sum)
{
    int32_t over_unit = 12;
    while (!(sum & 0x80000000u)) {
        sum <<= 1;
        over_unit--;
    }
    /* sum = 2^31 * m with m in [1, 2): half is m / 2 with 31 fraction bits, x becomes its reciprocal, in [1, 2], with 29. */
    const int32_t half = (int32_t)(sum >> 1);
    int32_t x = 1515870810 + ec_high_mul(half, -1010580540);
    for (int step = 0; step < 3; step++)
        x += 4 * ec_high_mul(x, (1 << 29) - ec_high_mul(half, x));
    const ec_reciprocal result = {x >= 1 << 30 ? INT32_MAX : x * 2, over_unit};
    return result;
}

/* The share of one exponential in the row, with `bits` fraction bits, rounded half up. */
static inline int32_t ec_softmax_share(const ec_softmax_params *p, int32_t difference, ec_reciprocal reciprocal, int32_t bits)
{
    if (difference >= p->entries)
        return 0;
    const int32_t shift = reciprocal.over_unit + 31 - bits;    /* [15, 34] */
    const int64_t share = ec_high_mul(p->exponentials[difference], reciprocal.factor);
    return (int32_t)((share + ((int64_t)1 << (shift - 1))) >> shift);
}

#endif
