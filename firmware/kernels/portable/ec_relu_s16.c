/* RELU to another scale, int16, portable C.
 * This plain loop defines what is correct. */
#include "ec_activation.h"
#include "ec_sums_s16.h"

void ec_relu_s16(const ec_scale *scale, const int16_t *in, int32_t count, int16_t *out)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = ec_requantize_s16(in[i], *scale, 0, INT16_MAX);
}
