/* RELU and RELU6 that keep the quantization, int16, portable C.
 * This plain loop defines what is correct. */
#include "ec_activation.h"
#include "ec_requantize.h"

void ec_clamp_s16(const int16_t *in, int32_t count, int32_t low, int32_t high, int16_t *out)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = (int16_t)ec_clamp(in[i], low, high);
}
