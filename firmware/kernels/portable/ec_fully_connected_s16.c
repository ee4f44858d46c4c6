/* Dense layer, int16 activations and int8 weights, portable C.
 *   out[o] = clamp(scale[o] * (bias[o] + sum w[o][i] * in[i]))
 * This plain loop defines what is correct. */
#include "ec_conv.h"
#include "ec_sums_s16.h"

void ec_fully_connected_s16(
        const ec_fc_params *p, const int16_t *in, const int8_t *weights, const int64_t *bias, const int32_t *narrow_bias,
        const ec_scale *scales, int16_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len)
        for (int32_t o = 0, count; o < p->out_len; o += count) {
            int64_t acc[4] = { 0, 0, 0, 0 };
            const int8_t *w = weights + o * p->in_len;
            count = p->out_len - o >= 4 ? 4 : 1;
            if (count == 4)
                ec_dot4_s16(in, w, p->in_len, p->in_len, acc);
            else
                acc[0] = ec_dot_s16(in, w, p->in_len);
            for (int32_t f = 0; f < count; f++)
                out[o + f] = ec_finish_s16(acc[f], bias, narrow_bias, o + f, scales[(o + f) * p->scale_stride], p->out_min, p->out_max);
        }
}
