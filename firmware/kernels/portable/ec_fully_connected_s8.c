/* Dense layer, int8, portable C.
 *   out[o] = clamp(zp_out + scale[o] * (bias[o] + sum (w[o][i] - zp_w) * (in[i] - zp_in)))
 * This plain loop defines what is correct. */
#include "ec_conv.h"
#include "ec_dot.h"
#include "ec_requantize.h"

/* sum zp_w * (in[i] - zp_in): what a zero point of the weights takes from every output of this input. */
static int32_t weights_offset(const ec_fc_params *p, const int8_t *in)
{
    int32_t sum = 0;
    if (p->weights_zero_point != 0)
        EC_ROLLED
        for (int32_t i = 0; i < p->in_len; i++)
            sum += in[i] - p->in_zero_point;
    return p->weights_zero_point * sum;
}

void ec_fully_connected_s8(
        const ec_fc_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    const ec_output output = { p->out_zero_point, p->out_min, p->out_max };
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        const int32_t offset = weights_offset(p, in);
        for (int32_t o = 0, count; o < p->out_len; o += count) {
            int32_t acc[4] = { -offset, -offset, -offset, -offset };
            const int8_t *w = weights + o * p->in_len;
            count = p->out_len - o >= 4 ? 4 : 1;
            if (count == 4)
                ec_dot4(in, w, p->in_len, p->in_zero_point, p->in_len, acc);
            else
                acc[0] += ec_dot(in, w, p->in_len, p->in_zero_point);
            ec_requantize_all(acc, bias ? bias + o : NULL, scales + o * p->scale_stride, p->scale_stride, output, count, out + o);
        }
    }
}
