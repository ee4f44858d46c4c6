/* QUANTIZE from int16 to int16, portable C. */
#include "ec_activation.h"
#include "ec_requantize.h"

void ec_quantize_s16(const ec_quantize_params *p, const int16_t *in, int32_t count, int16_t *out)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t scaled = ec_multiply_by_scale(in[i] - p->in_zero_point, p->scale.multiplier, p->scale.shift);
        /* The sum wraps around, as TFLM's does. */
        out[i] = (int16_t)ec_clamp((int32_t)((uint32_t)scaled + (uint32_t)p->out_zero_point), INT16_MIN, INT16_MAX);
    }
}
