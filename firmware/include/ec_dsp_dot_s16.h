/* Products of int16 by int8 for the DSP extension, two an instruction, and the way from a sum to int16. Contracts: ec_dsp_s16.h. */
#ifndef EC_DSP_DOT_S16_H
#define EC_DSP_DOT_S16_H

#include "ec_dsp_quad.h"
#include "ec_dsp_s16.h"

#if EC_DSP_ASSEMBLY

#define ec_smlad(x, w, sum) __smlad((int16x2_t)(x), (int16x2_t)(w), (sum))
#define ec_smlabb(x, w, sum) __smlabb((int32_t)(x), (int32_t)(w), (sum))
#define ec_smlatt(x, w, sum) __smlatt((int32_t)(x), (int32_t)(w), (sum))

/* ((int64_t)a * b + 2^31) >> 32: one instruction, which compilers do not find. */
static inline int32_t ec_smmulr(int32_t a, int32_t b)
{
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high;
}

#else

static inline int32_t ec_low_half(uint32_t x)
{
    return (int16_t)(x & 0xffff);
}

static inline int32_t ec_high_half(uint32_t x)
{
    return (int16_t)(x >> 16);
}

static inline int32_t ec_smlabb(uint32_t x, uint32_t w, int32_t sum)
{
    return sum + ec_low_half(x) * ec_low_half(w);
}

static inline int32_t ec_smlatt(uint32_t x, uint32_t w, int32_t sum)
{
    return sum + ec_high_half(x) * ec_high_half(w);
}

static inline int32_t ec_smlad(uint32_t x, uint32_t w, int32_t sum)
{
    return ec_smlatt(x, w, ec_smlabb(x, w, sum));
}

static inline int32_t ec_smmulr(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
}

#endif

typedef struct {
    uint32_t two;
} __attribute__((packed, may_alias)) ec_two_s16;

typedef uint32_t __attribute__((may_alias)) ec_four_s8;

/* Two elements at any element's address. */
static inline uint32_t ec_load_two(const int16_t *at)
{
    return ((const ec_two_s16 *)(const void *)at)->two;
}

/* Four weights at an address that is a multiple of 4. */
static inline uint32_t ec_load_four(const int8_t *at)
{
    return *(const ec_four_s8 *)(const void *)at;
}

static inline int16_t ec_output_s16(int32_t sum, const ec_channel_s16 *channel, int32_t low, int32_t high)
{
    return (int16_t)ec_clamp(ec_smmulr(sum + channel->bias, channel->multiplier), low, high);
}

#endif
