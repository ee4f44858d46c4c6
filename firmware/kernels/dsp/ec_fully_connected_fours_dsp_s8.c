/* Dense layer, int8, for the DSP extension, weights of which each four along the inputs have one or two that are not 0: a weight that is kept
 * takes its input by its place, and three instructions and a half; the others take none. */
#include "ec_dsp_dense.h"

/* One weight of each of four outputs, and their places among the four inputs at `in`, two bits each. */
#define ADD_KEPT(word, places) \
    do { \
        const uint32_t even = ec_even_bytes(word), odd = ec_odd_bytes(word); \
        a += in[(places) & 3] * (int16_t)(uint16_t)even; \
        b += in[(places) >> 2 & 3] * (int16_t)(uint16_t)odd; \
        c += in[(places) >> 4 & 3] * (int16_t)(uint16_t)(even >> 16); \
        d += in[(places) >> 6 & 3] * (int16_t)(uint16_t)(odd >> 16); \
    } while (0)

EC_OUT_OF_LINE void add_one_of_four(const int8_t *in, const int8_t *kept, int32_t fours, int32_t sums[4])
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    EC_ROLLED
    for (const int8_t *const end = in + 4 * fours; in != end; in += 4, kept += 5)
        ADD_KEPT(ec_load_word(kept), (uint32_t)(uint8_t)kept[4]);
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

EC_OUT_OF_LINE void add_two_of_four(const int8_t *in, const int8_t *kept, int32_t fours, int32_t sums[4])
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    EC_ROLLED
    for (const int8_t *const end = in + 4 * fours; in != end; in += 4, kept += 10) {
        const uint32_t places = ec_load_half(kept + 8);
        ADD_KEPT(ec_load_word(kept), places & 0xff);
        ADD_KEPT(ec_load_word(kept + 4), places >> 8);
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

static void add_kept_weights(int32_t count, const int8_t *in, const int8_t *kept, int32_t fours, int32_t sums[4])
{
    if (count == 1)
        add_one_of_four(in, kept, fours, sums);
    else
        add_two_of_four(in, kept, fours, sums);
}

void ec_fully_connected_fours_dsp_s8(
        const ec_dense_params *p, const int8_t *in, const int8_t *kept, int32_t count, const int32_t *twice_bias, const ec_scale *scales,
        int8_t *out)
{
    const int32_t whole = p->in_len >> 2;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        int8_t last[4];
        const int8_t *const rest = ec_dense_rest(in, p->in_len, last);
        const int8_t *at = kept;
        for (int32_t o = 0; o < p->out_len; o += 4) {
            int32_t sums[4] = { 0, 0, 0, 0 };
            add_kept_weights(count, in, at, whole, sums);
            at += 5 * count * whole;
            if (rest != NULL) {
                add_kept_weights(count, rest, at, 1, sums);
                at += 5 * count;
            }
            ec_dense_outputs(p, sums, o, twice_bias, scales, out);
        }
        ec_dense_clamp(p, out);
    }
}
