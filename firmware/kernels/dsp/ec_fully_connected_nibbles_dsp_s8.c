/* Dense layer, int8, for the DSP extension, weights base + step * u with u of four bits: four outputs in each half word of weights.
 *
 * SMLAD with the word as it is sums x * (u0 + 16 u1 + 256 u2 + 4096 (u3 - 8)); with its lower 12, 8 and 4 bits the same without u3, u2 and u1.
 * Their differences, shifted to the right, are sums of one output: four inputs against four outputs are 18 instructions for 16 products. */
#include "ec_dsp_dense.h"

/* Sums of four outputs over `fours` fours of inputs, EC_NIBBLE_FOURS at most, are added to `sums`; the last one's u is less by 8. */
EC_OUT_OF_LINE void add_nibbles(const int8_t *in, const uint32_t *weights, int32_t fours, uint32_t sums[4])
{
    uint32_t one = 0, two = 0, three = 0, all = 0;
    for (; fours != 0; fours--, in += 4, weights += 2) {
        const uint32_t x = ec_load_word(in), even = ec_even_bytes(x), odd = ec_odd_bytes(x);
        const uint32_t w0 = weights[0], w1 = weights[1];
        one = ec_add_two(odd, w1 & 0x000f000f, ec_add_two(even, w0 & 0x000f000f, one));
        two = ec_add_two(odd, w1 & 0x00ff00ff, ec_add_two(even, w0 & 0x00ff00ff, two));
        three = ec_add_two(odd, w1 & 0x0fff0fff, ec_add_two(even, w0 & 0x0fff0fff, three));
        all = ec_add_two(odd, w1, ec_add_two(even, w0, all));
    }
    sums[0] += one;
    sums[1] += (uint32_t)((int32_t)(two - one) >> 4);
    sums[2] += (uint32_t)((int32_t)(three - two) >> 8);
    sums[3] += (uint32_t)((int32_t)(all - three) >> 12);
}

static uint32_t total_of(const int8_t *in, int32_t n)
{
    uint32_t total = 0;
    int32_t beyond = 0;
    for (; n >= 4; n -= 4, in += 4) {
        const uint32_t x = ec_load_word(in);
        total = ec_add_two(ec_even_bytes(x), 0x00010001, ec_add_two(ec_odd_bytes(x), 0x00010001, total));
    }
    for (; n != 0; n--)
        beyond += *in++;
    return total + (uint32_t)beyond;
}

void ec_fully_connected_nibbles_dsp_s8(
        const ec_dense_params *p, const int8_t *in, const uint32_t *weights, int32_t base, int32_t step, const int32_t *twice_bias,
        const ec_scale *scales, int8_t *out)
{
    const int32_t whole = p->in_len >> 2;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        int8_t last[4];
        const int8_t *const rest = ec_dense_rest(in, p->in_len, last);
        const uint32_t total = total_of(in, p->in_len), of_base = total * (uint32_t)base;
        const uint32_t *w = weights;
        for (int32_t o = 0; o < p->out_len; o += 4) {
            uint32_t sums[4] = { 0, 0, 0, 8 * total };
            for (int32_t first = 0, n; first < whole; first += n, w += 2 * n) {
                n = whole - first < EC_NIBBLE_FOURS ? whole - first : EC_NIBBLE_FOURS;
                add_nibbles(in + 4 * first, w, n, sums);
            }
            if (rest != NULL) {
                add_nibbles(rest, w, 1, sums);
                w += 2;
            }
            int32_t whole_sums[4];
            for (int32_t i = 0; i < 4; i++)
                whole_sums[i] = (int32_t)(of_base + (uint32_t)step * sums[i]);
            ec_dense_outputs(p, whole_sums, o, twice_bias, scales, out);
        }
        ec_dense_clamp(p, out);
    }
}
