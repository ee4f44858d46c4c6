/* QUANTIZE from int16 to int8, portable C. */
#include "ec_activation.h"
#include "ec_requantize.h"

void ec_quantize_s16_s8(const ec_quantize_params *p, const int16_t *in, int32_t count, int8_t *out)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t scaled = ec_multiply_by_scale(in[i] - p->in_zero_point, p->scale.multiplier, p->scale.shift);
        /* The sum wraps around, as TFLM's does. */
        out[i] = (int8_t)ec_clamp((int32_t)((uint32_t)scaled + (uint32_t)p->out_zero_point), INT8_MIN, INT8_MAX);
    }
}
