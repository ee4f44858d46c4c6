/* Dense layer of block-sparse weights, int8, for the DSP extension: only blocks of four inputs that are not all zero are stored and
 * multiplied, each in nine instructions for four products. */
#include "ec_dsp_dense.h"

enum { BLOCK_BYTES = 5 };

/* sum + one block: the place of its inputs in fours, then its weights. */
static inline uint32_t add_block(const int8_t *in, const int8_t *block, uint32_t sum)
{
    const uint32_t x = ec_load_word(in + 4 * (uint8_t)block[0]), w = ec_load_word(block + 1);
    return ec_add_two(ec_odd_bytes(x), ec_odd_bytes(w), ec_add_two(ec_even_bytes(x), ec_even_bytes(w), sum));
}

/* `count` outputs over all their inputs; returns the end of their blocks. */
EC_OUT_OF_LINE const int8_t *sum_blocks(const int8_t *in, int32_t in_len, const int8_t *blocks, int32_t count, int32_t *sums)
{
    for (; count != 0; count--, sums++) {
        uint32_t sum = 0;
        for (int32_t first = 0; first < in_len; first += EC_BLOCK_INPUTS) {
            uint32_t left = (uint8_t)*blocks++;
            EC_ROLLED
            for (; (left & 3) != 0; left--, blocks += BLOCK_BYTES)
                sum = add_block(in + first, blocks, sum);
            EC_ROLLED
            for (; left != 0; left -= 4, blocks += 4 * BLOCK_BYTES) {
                sum = add_block(in + first, blocks, sum);
                sum = add_block(in + first, blocks + BLOCK_BYTES, sum);
                sum = add_block(in + first, blocks + 2 * BLOCK_BYTES, sum);
                sum = add_block(in + first, blocks + 3 * BLOCK_BYTES, sum);
            }
        }
        *sums = (int32_t)sum;
    }
    return blocks;
}

void ec_fully_connected_blocks_dsp_s8(
        const ec_dense_params *p, const int8_t *in, const int8_t *blocks, const int32_t *twice_bias, const ec_scale *scales, int8_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len) {
        const int8_t *at = blocks;
        for (int32_t o = 0; o < p->out_len; o += 4) {
            int32_t sums[4];
            at = sum_blocks(in, p->in_len, at, p->out_len - o < 4 ? p->out_len - o : 4, sums);
            ec_dense_outputs(p, sums, o, twice_bias, scales, out);
        }
        ec_dense_clamp(p, out);
    }
}
