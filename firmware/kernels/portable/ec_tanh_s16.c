/* TANH, int16, portable C: tanh(x) = 2 * sigmoid(2 * x) - 1.
 * This plain loop defines what is correct. */
#include "ec_curve_s16.h"

void ec_tanh_s16(const ec_curve_params *p, const int16_t *in, int32_t count, int16_t *out)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t address = ec_curve_address(p, in[i]);
        const int32_t curve = ec_curve_at(p, address, 8, 0xffff * (1 << 8)) - (1 << 23);
        /* 23 fraction bits to 15 */
        out[i] = (int16_t)((address >= 0 ? curve + (1 << 7) : -curve + (1 << 7) - 1) >> 8);
    }
}
