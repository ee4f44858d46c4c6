/* The loop of dense layers whose weights are codes of 1 to 5 bits: a block of codes of four outputs and four inputs is cut to eight pairs, of
 * elements 0 and 2 of each output, then of elements 1 and 3 (ec_dsp_packed.h).
 *
 * The kernel says before it includes this what `table` is, EC_CODES_TABLE, and what the two weights of a pair are as a word,
 * EC_CODES_PAIR(table, output, pair, bits); else they are looked up one by one in one codebook. */
#ifndef EC_DSP_CODES_H
#define EC_DSP_CODES_H

#include "ec_dsp_dense.h"

#ifndef EC_CODES_TABLE
#define EC_CODES_TABLE const int8_t *
#define EC_CODES_PAIR(table, output, pair, bits) ec_pack16((table)[(pair) & ((1 << bits) - 1)], (table)[(pair) >> bits])
#endif

/* Sums of one row's `fours` fours of inputs are added to those of four outputs. */
#define EC_ADD_CODES(bits, load, a0, b0, c0, d0, a1, b1, c1, d1) \
    EC_OUT_OF_LINE void ec_add_codes_##bits( \
            const int8_t *in, const uint8_t *codes, EC_CODES_TABLE table, int32_t fours, int32_t sums[4]) \
    { \
        uint32_t a = (uint32_t)sums[0], b = (uint32_t)sums[1], c = (uint32_t)sums[2], d = (uint32_t)sums[3]; \
        EC_ROLLED \
        for (; fours != 0; fours--, in += 4, codes += 2 * bits) { \
            const uint32_t x = ec_load_word(in), even = ec_even_bytes(x), odd = ec_odd_bytes(x); \
            load; \
            a = ec_add_two(even, EC_CODES_PAIR(table, 0, a0, bits), a); \
            b = ec_add_two(even, EC_CODES_PAIR(table, 1, b0, bits), b); \
            c = ec_add_two(even, EC_CODES_PAIR(table, 2, c0, bits), c); \
            d = ec_add_two(even, EC_CODES_PAIR(table, 3, d0, bits), d); \
            a = ec_add_two(odd, EC_CODES_PAIR(table, 0, a1, bits), a); \
            b = ec_add_two(odd, EC_CODES_PAIR(table, 1, b1, bits), b); \
            c = ec_add_two(odd, EC_CODES_PAIR(table, 2, c1, bits), c); \
            d = ec_add_two(odd, EC_CODES_PAIR(table, 3, d1, bits), d); \
        } \
        sums[0] = (int32_t)a; \
        sums[1] = (int32_t)b; \
        sums[2] = (int32_t)c; \
        sums[3] = (int32_t)d; \
    }

#define EC_HALF(at) const uint32_t h = ec_load_half((const int8_t *)codes + (at))
#define EC_WORD(w, at) const uint32_t w = ec_load_word((const int8_t *)codes + (at))

EC_ADD_CODES(1, EC_HALF(0), h & 3, h >> 2 & 3, h >> 4 & 3, h >> 6 & 3, h >> 8 & 3, h >> 10 & 3, h >> 12 & 3, h >> 14)
EC_ADD_CODES(2, EC_WORD(v, 0), v & 15, v >> 4 & 15, v >> 8 & 15, v >> 12 & 15, v >> 16 & 15, v >> 20 & 15, v >> 24 & 15, v >> 28)
EC_ADD_CODES(
        3, EC_WORD(v, 0); EC_HALF(4), v & 63, v >> 6 & 63, v >> 12 & 63, v >> 18 & 63, v >> 24 & 63, v >> 30 | (h & 15) << 2, h >> 4 & 63,
        h >> 10)
EC_ADD_CODES(
        4, EC_WORD(v, 0); EC_WORD(w, 4), v & 255, v >> 8 & 255, v >> 16 & 255, v >> 24, w & 255, w >> 8 & 255, w >> 16 & 255, w >> 24)
EC_ADD_CODES(
        5, EC_WORD(v, 0); EC_WORD(w, 4); EC_HALF(8), v & 1023, v >> 10 & 1023, v >> 20 & 1023, v >> 30 | (w & 255) << 2, w >> 8 & 1023,
        w >> 18 & 1023, w >> 28 | (h & 63) << 4, h >> 6)

static inline void ec_add_codes(
        int32_t bits, const int8_t *in, const uint8_t *codes, EC_CODES_TABLE table, int32_t fours, int32_t sums[4])
{
    switch (bits) {
    case 1:
        ec_add_codes_1(in, codes, table, fours, sums);
        break;
    case 2:
        ec_add_codes_2(in, codes, table, fours, sums);
        break;
    case 3:
        ec_add_codes_3(in, codes, table, fours, sums);
        break;
    case 4:
        ec_add_codes_4(in, codes, table, fours, sums);
        break;
    default:
        ec_add_codes_5(in, codes, table, fours, sums);
    }
}

/* Four outputs of one row, from `codes` on: whole fours of inputs, then `rest`, NULL where there are no others; returns the end of the codes. */
static inline const uint8_t *ec_sum_codes(
        int32_t bits, const int8_t *in, int32_t whole, const int8_t *rest, const uint8_t *codes, EC_CODES_TABLE table, int32_t sums[4])
{
    ec_add_codes(bits, in, codes, table, whole, sums);
    codes += 2 * bits * whole;
    if (rest == NULL)
        return codes;
    ec_add_codes(bits, rest, codes, table, 1, sums);
    return codes + 2 * bits;
}

#endif
