/* Dense layer, int16 activations and int8 weights, for the DSP extension: a row of inputs against four filters, 22 instructions for 16
 * products. */
#include "ec_dsp_dot_s16.h"

/* sum[f] += the products of `fours` fours of inputs with four filters, whose words lie side by side. */
static void quad(const int16_t *in, const int8_t *weights, int32_t fours, int32_t sum[4])
{
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
    for (; fours > 0; fours--, in += 4, weights += 16) {
        const uint32_t a = ec_load_two(in), b = ec_load_two(in + 2);
        const uint32_t w0 = ec_load_four(weights), w1 = ec_load_four(weights + 4);
        s0 = ec_smlad(b, ec_odd_bytes(w0), ec_smlad(a, ec_even_bytes(w0), s0));
        s1 = ec_smlad(b, ec_odd_bytes(w1), ec_smlad(a, ec_even_bytes(w1), s1));
        const uint32_t w2 = ec_load_four(weights + 8), w3 = ec_load_four(weights + 12);
        s2 = ec_smlad(b, ec_odd_bytes(w2), ec_smlad(a, ec_even_bytes(w2), s2));
        s3 = ec_smlad(b, ec_odd_bytes(w3), ec_smlad(a, ec_even_bytes(w3), s3));
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
}

void ec_fully_connected_dsp_s16(
        const ec_fc_params *p, const int16_t *in, const int8_t *weights, const ec_channel_s16 *channels, int16_t *out)
{
    const int32_t whole = p->in_len >> 2, rest = p->in_len & 3;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        int16_t last[4] = { 0, 0, 0, 0 };
        for (int32_t i = 0; i < rest; i++)
            last[i] = in[4 * whole + i];
        const int8_t *w = weights;
        for (int32_t o = 0; o < p->out_len; o += 4) {
            int32_t sum[4] = { 0, 0, 0, 0 };
            quad(in, w, whole, sum);
            w += 16 * whole;
            if (rest != 0) {
                quad(last, w, 1, sum);
                w += 16;
            }
            for (int32_t f = 0; f < 4 && o + f < p->out_len; f++)
                out[o + f] = ec_output_s16(sum[f], &channels[o + f], p->out_min, p->out_max);
        }
    }
}
