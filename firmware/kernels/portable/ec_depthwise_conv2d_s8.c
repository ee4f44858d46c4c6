/* Depthwise 2D convolution, int8, portable C.
 *   out[y][x][o] = clamp(zp_out + scale[o] * (bias[o] + sum w[ky][kx][o] * (in[y * s + ky * d - pad][x * s + kx * d - pad][o / m] - zp_in)))
 * with m = filters_per_group, the depth multiplier. This plain loop defines what is correct. */
#include "ec_depthwise_loops.h"

void ec_depthwise_conv2d_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    ec_depthwise_images(p, in, weights, bias, scales, out);
}
