/* Around the inner loops of dense layers from packed weights (ec_dsp_packed.h). */
#ifndef EC_DSP_DENSE_H
#define EC_DSP_DENSE_H

#include "ec_dsp_packed.h"
#include "ec_dsp_quad.h"

typedef struct {
    uint16_t half;
} __attribute__((packed, may_alias)) ec_any_half;

static inline uint32_t ec_load_half(const int8_t *at)
{
    return ((const ec_any_half *)(const void *)at)->half;
}

/* acc + both products of two int16; wraps. */
static inline uint32_t ec_add_two(uint32_t a, uint32_t b, uint32_t acc)
{
#if EC_DSP_ASSEMBLY
    return (uint32_t)__smlad((int16x2_t)a, (int16x2_t)b, (int32_t)acc);
#else
    return ec_dot16(a, b, acc);
#endif
}

/* The inputs beyond the last whole four, with zeros behind them, or NULL where there are none. */
static inline const int8_t *ec_dense_rest(const int8_t *in, int32_t in_len, int8_t four[4])
{
    const int32_t rest = in_len & 3;
    if (rest == 0)
        return NULL;
    in += in_len - rest;
    four[0] = in[0];
    four[1] = rest > 1 ? in[1] : 0;
    four[2] = rest > 2 ? in[2] : 0;
    four[3] = 0;
    return four;
}

/* Outputs `first` to `first + 3`, as far as there are any, from their sums over raw inputs; not yet clamped. */
EC_OUT_OF_LINE void ec_dense_outputs(
        const ec_dense_params *p, const int32_t sums[4], int32_t first, const int32_t *twice_bias, const ec_scale *scales, int8_t *out)
{
    const int32_t scale_bytes = p->scale_bytes, twice_zero_point = 2 * p->out_zero_point + 1;
    const int8_t *scale = (const int8_t *)scales + first * scale_bytes;
    const int32_t *const end = twice_bias + (p->out_len - first < 4 ? p->out_len : first + 4);
    out += first;
    EC_ROLLED
    for (const int32_t *bias = twice_bias + first; bias != end; bias++, scale += scale_bytes) {
        const ec_scale *const s = (const ec_scale *)(const void *)scale;
        const ec_channel channel = { *bias, s->multiplier, s->shift };
        *out++ = ec_channel_output(&channel, 2 * *sums++, twice_zero_point);
    }
}

/* A row of outputs within the bounds of the fused activation. */
static inline void ec_dense_clamp(const ec_dense_params *p, int8_t *out)
{
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < p->out_len; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}

#endif
