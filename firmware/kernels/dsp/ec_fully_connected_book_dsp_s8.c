/* Dense layer, int8, for the DSP extension, weights as codes into one codebook, looked up one by one: six instructions for two products, and
 * no scratch. */
#include "ec_dsp_codes.h"

void ec_fully_connected_book_dsp_s8(
        const ec_dense_params *p, const int8_t *in, const uint8_t *codes, const int8_t *book, int32_t bits, const int32_t *twice_bias,
        const ec_scale *scales, int8_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        int8_t last[4];
        const int8_t *const rest = ec_dense_rest(in, p->in_len, last);
        const uint8_t *at = codes;
        for (int32_t o = 0; o < p->out_len; o += 4) {
            int32_t sums[4] = { 0, 0, 0, 0 };
            at = ec_sum_codes(bits, in, p->in_len >> 2, rest, at, book, sums);
            ec_dense_outputs(p, sums, o, twice_bias, scales, out);
        }
        ec_dense_clamp(p, out);
    }
}
