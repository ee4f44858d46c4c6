/* The intrinsics of ec_dot_dsp.h in plain C, so that a host's sanitizers see the DSP loops.
 * Meaning: Armv7-M Architecture Reference Manual (ARM DDI 0403E), SXTB16, SSUB16, SMLAD. */
#ifndef TEST_ARM_ACLE_H
#define TEST_ARM_ACLE_H

#include <stdint.h>

typedef int32_t int8x4_t;
typedef int32_t int16x2_t;

static inline int32_t acle_low(int16x2_t x)
{
    return (int16_t)(uint16_t)((uint32_t)x & 0xffffu);
}

static inline int32_t acle_high(int16x2_t x)
{
    return (int16_t)(uint16_t)((uint32_t)x >> 16);
}

static inline int16x2_t acle_pair(int32_t low, int32_t high)
{
    return (int16x2_t)((uint32_t)high << 16 | ((uint32_t)low & 0xffffu));
}

static inline int16x2_t __sxtb16(int8x4_t x)
{
    return acle_pair((int8_t)(uint8_t)((uint32_t)x & 0xffu), (int8_t)(uint8_t)((uint32_t)x >> 16 & 0xffu));
}

static inline int16x2_t __ssub16(int16x2_t a, int16x2_t b)
{
    return acle_pair(acle_low(a) - acle_low(b), acle_high(a) - acle_high(b));
}

static inline int32_t __smlad(int16x2_t a, int16x2_t b, int32_t acc)
{
    return (int32_t)((uint32_t)acc + (uint32_t)(acle_low(a) * acle_low(b)) + (uint32_t)(acle_high(a) * acle_high(b)));
}

#endif
