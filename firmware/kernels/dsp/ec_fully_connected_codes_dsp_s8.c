/* Dense layer, int8, for the DSP extension, weights as codes into one codebook: a table in scratch has the two weights of every pair of codes
 * as SMLAD takes them, so that a pair is cut from a word, looked up and multiplied: three instructions for two products. */
#define EC_CODES_TABLE const uint32_t *
#define EC_CODES_PAIR(table, output, pair, bits) (table)[pair]
#include "ec_dsp_codes.h"

/* Four rows of words, `row` apart, of which the upper halves are `high`. */
EC_OUT_OF_LINE void fill_rows(const int8_t *book, int32_t values, const int8_t high[4], int32_t row, uint32_t *to)
{
    const int32_t high0 = high[0], high1 = high[1], high2 = high[2], high3 = high[3];
    uint32_t *to1 = to + row, *to2 = to1 + row, *to3 = to2 + row;
    EC_ROLLED
    for (const int8_t *const end = book + values; book != end;) {
        const int32_t low = *book++;
        *to++ = ec_pack16(low, high0);
        *to1++ = ec_pack16(low, high1);
        *to2++ = ec_pack16(low, high2);
        *to3++ = ec_pack16(low, high3);
    }
}

/* A row for each second code of a pair, a word for each first one. */
static void fill_table(const int8_t *book, int32_t values, int32_t bits, uint32_t *table)
{
    for (int32_t second = 0; second < values; second += 4, table += 4 << bits) {
        int8_t high[4];
        for (int32_t k = 0; k < 4; k++)
            high[k] = second + k < values ? book[second + k] : 0;
        fill_rows(book, values, high, 1 << bits, table);
    }
}

void ec_fully_connected_codes_dsp_s8(
        const ec_dense_params *p, const int8_t *in, const uint8_t *codes, const int8_t *book, int32_t values, int32_t bits,
        const int32_t *twice_bias, const ec_scale *scales, int8_t *scratch, int8_t *out)
{
    uint32_t *const table = (uint32_t *)(void *)scratch;
    fill_table(book, values, bits, table);
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        int8_t last[4];
        const int8_t *const rest = ec_dense_rest(in, p->in_len, last);
        const uint8_t *at = codes;
        for (int32_t o = 0; o < p->out_len; o += 4) {
            int32_t sums[4] = { 0, 0, 0, 0 };
            at = ec_sum_codes(bits, in, p->in_len >> 2, rest, at, table, sums);
            ec_dense_outputs(p, sums, o, twice_bias, scales, out);
        }
        ec_dense_clamp(p, out);
    }
}
