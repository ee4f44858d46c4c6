/* Depthwise 2D convolution, int8, from packed weights, for the DSP extension: they are unpacked where the ring of rows will be, which is at
 * least twice as large, and go from there into the lists of ec_dsp_depthwise.h. */
#include "ec_dsp_depthwise.h"
#include "ec_unpack.h"

void ec_depthwise_conv2d_packed_dsp_s8(
        const ec_conv_params *p, const int8_t *in, const ec_packed_weights *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    const ec_depthwise_layer l = ec_depthwise_describe(p, scratch);
    ec_unpack(weights, 0, 0, weights->filter_len, l.ring);
    ec_depthwise_lists(&l, l.ring);
    ec_depthwise_dsp_images(&l, in, data, out);
}
