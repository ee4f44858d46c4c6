/* Dense layer, int8, portable C.
 *   out[o] = clamp(zp_out + scale[o] * (bias[o] + sum (w[o][i] - zp_w) * (in[i] - zp_in)))
 * This plain loop defines what is correct; the versions in dsp/ and mve/ match it bit for bit. */
#include "ec_conv.h"
#include "ec_patch.h"
#include "ec_requantize.h"

/* sum zp_w * (in[i] - zp_in): what a zero point of the weights takes from every output of this input. */
static int32_t weights_offset(const ec_fc_params *p, const int8_t *in)
{
    int32_t sum = 0;
    if (p->weights_zero_point != 0)
        for (int32_t i = 0; i < p->in_len; i++)
            sum += in[i] - p->in_zero_point;
    return p->weights_zero_point * sum;
}

static int8_t finish(
        const ec_fc_params *p, int32_t acc, int32_t o, const int32_t *bias, const ec_scale *scales)
{
    return ec_requantize(
            ec_add_bias(acc, bias, o), scales[o * p->scale_stride], p->out_zero_point, p->out_min, p->out_max);
}

void ec_fully_connected_s8(
        const ec_fc_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    ec_patch patch = { .in = in, .rows = 1, .taps = 1, .run = p->in_len };
    for (int32_t b = 0; b < p->batches; b++, patch.in += p->in_len, out += p->out_len) {
        const int32_t offset = weights_offset(p, patch.in);
        int32_t o = 0;
        for (; o + 4 <= p->out_len; o += 4) {
            int32_t acc[4];
            ec_patch_dot4(&patch, weights + o * p->in_len, p->in_len, p->in_zero_point, acc);
            for (int32_t i = 0; i < 4; i++)
                out[o + i] = finish(p, acc[i] - offset, o + i, bias, scales);
        }
        for (; o < p->out_len; o++)
            out[o] = finish(p, ec_patch_dot(&patch, weights + o * p->in_len, p->in_zero_point) - offset, o, bias, scales);
    }
}
