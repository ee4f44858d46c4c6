/* Depthwise 2D convolution, int8, for the DSP extension: four channels of two pixels at once (ec_dsp_depthwise.h). */
#include "ec_dsp_depthwise.h"

void ec_depthwise_conv2d_dsp_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    const ec_depthwise_layer l = ec_depthwise_describe(p, scratch);
    ec_depthwise_lists(&l, weights);
    ec_depthwise_dsp_images(&l, in, data, out);
}
