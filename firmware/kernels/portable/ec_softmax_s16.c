/* SOFTMAX, int16, portable C.
 * This plain loop defines what is correct. */
#include "ec_activation.h"
#include "ec_requantize.h"

/* Between two of 513 entries: the upper 9 bits of the address choose the first one, the lower 7 interpolate. */
static int32_t look_up(const int16_t *table, int32_t address)
{
    const int16_t *at = table + (address >> 7) + 256;
    return at[0] + (((at[1] - at[0]) * (address & 0x7f) + 64) >> 7);
}

static int32_t exponential(const ec_softmax_s16_params *p, int32_t difference)
{
    const int32_t scaled = ec_multiply_by_scale(difference, p->scale.multiplier, p->scale.shift);
    return look_up(p->exponentials, ec_clamp((int32_t)((uint32_t)scaled + INT16_MAX), INT16_MIN, INT16_MAX));
}

static int32_t largest(const int16_t *row, int32_t depth)
{
    int32_t max = row[0];
    for (int32_t i = 1; i < depth; i++)
        max = row[i] > max ? row[i] : max;
    return max;
}

void ec_softmax_s16(const ec_softmax_s16_params *p, const int16_t *in, int16_t *out)
{
    for (int32_t row = 0; row < p->rows; row++, in += p->depth, out += p->depth) {
        const int32_t max = largest(in, p->depth);
        int32_t sum = 0, zeros = 1;
        for (int32_t i = 0; i < p->depth; i++) {
            out[i] = (int16_t)exponential(p, in[i] - max);
            sum += out[i];
        }
        /* sum = mantissa * 2^(31 - zeros) with mantissa in [1, 2), of which 16 fraction bits are kept. */
        while (!((uint32_t)sum << zeros & 0x80000000u))
            zeros++;
        const int32_t mantissa = (int32_t)((((uint32_t)sum << (zeros - 1)) + (1u << 13)) >> 14);
        const int32_t factor = look_up(p->reciprocals, ec_clamp(mantissa - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX));
        const int32_t shift = 31 - zeros;
        for (int32_t i = 0; i < p->depth; i++)
            out[i] = (int16_t)ec_clamp((out[i] * factor + (1 << (shift - 1))) >> shift, 0, INT16_MAX);
    }
}
