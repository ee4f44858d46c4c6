/* Depthwise 2D convolution, int8, from packed weights, portable C: they are unpacked once a call, then it is ec_depthwise_conv2d_s8. */
#include "ec_depthwise_loops.h"
#include "ec_unpack.h"

void ec_depthwise_conv2d_packed_s8(
        const ec_conv_params *p, const int8_t *in, const ec_packed_weights *weights, const int32_t *bias, const ec_scale *scales,
        int8_t *scratch, int8_t *out)
{
    ec_unpack(weights, 0, 0, weights->filter_len, scratch);
    ec_depthwise_images(p, in, scratch, bias, scales, out);
}
