/* Dense layers from packed weights for cores with the DSP extension: weights are met as they are stored, and never all unpacked. Zero points
 * are folded as in ec_dsp.h, whose bounds hold here too, but for those of two filters in a word.
 *
 * Outputs go in fours, inputs in fours; both are padded with zeros by the generator (edgecompress/codegen/lower/packing_dense.py). No byte of
 * the inputs beyond in_len is read. */
#ifndef EC_DSP_PACKED_H
#define EC_DSP_PACKED_H

#include "ec_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fours of inputs that four-bit weights may meet before their sums are taken apart: 128 * 8 * 4 * 127 < 2^19. */
enum { EC_NIBBLE_FOURS = 127 };

/* Weights that are base + step * u, u of four bits. A half word holds one element of four outputs, u0 + 16 * u1 + 256 * u2 + 4096 * (u3 - 8);
 * for each four of inputs a word of elements 0 and 2, then one of 1 and 3. */
void ec_fully_connected_nibbles_dsp_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const uint32_t *weights,      // [out_len / 4][in_len / 4][2]
        int32_t base,
        int32_t step,
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *out);                 // [batches][out_len]

/* Weights of at most 32 values: codes of `bits` bits, 1 to 5, into a codebook. For four outputs and four inputs the codes are 2 * bits bytes,
 * lowest bit first, two codes a field: of each output elements 0 and 2, then of each output elements 1 and 3. */
void ec_fully_connected_codes_dsp_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const uint8_t *codes,         // [out_len / 4][in_len / 4][2 * bits]
        const int8_t *book,
        int32_t values,               // of the codebook
        int32_t bits,
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *scratch,              // 4 bytes a pair of codes, 4 << 2 * bits, 32 for one bit; 4-byte aligned
        int8_t *out);                 // [batches][out_len]

/* The same without scratch, at up to twice the instructions. */
void ec_fully_connected_book_dsp_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const uint8_t *codes,         // [out_len / 4][in_len / 4][2 * bits]
        const int8_t *book,
        int32_t bits,
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *out);                 // [batches][out_len]

/* The same codes, with a codebook for each output. */
void ec_fully_connected_books_dsp_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const uint8_t *codes,         // [out_len / 4][in_len / 4][2 * bits]
        const int8_t *books,          // [out_len][book_stride]
        int32_t book_stride,
        int32_t bits,
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *out);                 // [batches][out_len]

/* Weights of which each four along the inputs keep `count`, 1 or 2: for four outputs and four inputs `count` words with a weight of each
 * output, then `count` bytes with their places, two bits each, the first output's lowest. */
void ec_fully_connected_fours_dsp_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const int8_t *kept,           // [out_len / 4][in_len / 4][5 * count]
        int32_t count,
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *out);                 // [batches][out_len]

/* Inputs among which a byte places a block of four, less one four: a byte also counts the blocks. */
enum { EC_BLOCK_INPUTS = 1020 };

/* Block-sparse weights, in_len a multiple of 4: for each output and each EC_BLOCK_INPUTS of its inputs a byte with the number of blocks that
 * are not all zero, then for each the place of its inputs in fours and its four weights. */
void ec_fully_connected_blocks_dsp_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const int8_t *blocks,
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *out);                 // [batches][out_len]

#ifdef __cplusplus
}
#endif
#endif
