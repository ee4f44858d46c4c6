/* Kernels for cores with the DSP extension (Cortex-M4, M7, M33): two products an instruction, weights repacked by the generator.
 * docs/kernels.md draws the layouts; the packing stands in edgecompress/codegen/lower/packing.py.
 *
 * The zero point of the inputs is folded into the bias: bias[o] = file's bias - in_zero_point * sum of o's weights, so that kernels multiply
 * raw inputs, and a padded tap counts as in_zero_point. The generator takes these kernels only where, whatever the inputs,
 *   |bias + sum| < 2^30             doubled accumulators fit int32,
 *   scales have shift <= -1         the last step is a shift to the right,
 *   |sum of one of a word's second filters| < 2^23, and no word holds a second weight of -128 beside a negative first one.
 *
 * Without the extension (hosts) the same loops run in plain C. */
#ifndef EC_DSP_H
#define EC_DSP_H

#include "ec_channels.h"
#include "ec_conv.h"
#include "ec_elementwise.h"
#include "ec_packed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CONV_2D, also grouped and dilated. Pixels go in pairs: both windows are expanded to int16 in scratch, then each four filters sum them from
 * registers. `out` may lie over `in` as far as the generator's lead allows. */
void ec_conv2d_dsp_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // packed, 4-byte aligned
        const ec_channel_data *data,  // of out.c channels
        int8_t *scratch,              // 4-byte aligned: 12 bytes a channel (groups padded to fours), 8 bytes a step
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* CONV_2D of block-sparse weights, without groups, filter_c a multiple of 4. A block is four weights along the input channels that are not all
 * zero: a byte that says how many fours it lies behind the block before (behind the start for the first one), then the weights. In front of a
 * filter's blocks, of which there is one at least, two bytes hold their size in bytes times 4 plus the number of them to the next multiple of
 * four. `out` may lie over `in` as far as the generator's lead allows. */
void ec_conv2d_blocks_dsp_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const int8_t *blocks,         // of all filters
        int32_t blocks_bytes,
        const ec_channel_data *data,  // of out.c channels
        int8_t *scratch,              // 4-byte aligned: 12 bytes a channel (padded to fours), 8 bytes an element of a window
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* CONV_2D of packed weights, without groups: `at_once` filters, a multiple of four or all of them, are unpacked, then meet all pixels. `out`
 * may lie over `in` as far as the generator's lead allows where all filters go at once, else not at all. */
void ec_conv2d_packed_dsp_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const ec_packed_weights *weights,
        int32_t at_once,
        const ec_channel_data *data,  // of out.c channels
        int8_t *scratch,              // 4-byte aligned: 12 bytes a channel (padded to fours), 8 a step, 8 a step and four at once, 4 filters
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* DEPTHWISE_CONV_2D with a depth multiplier of 1, stride_w 1 or 2 and dilation_w 1. Rows go into a ring of int16 in scratch, four channels
 * side by side; then each four channels of two pixels are summed from registers. `out` may lie over `in` as far as the generator's lead allows.
 * With C4 channels (padded to fours) and columns = (outputs in a row, padded to an even count, - 1) * stride_w + filter_w,
 * scratch is 12 * C4 + C4 / 4 * filter_h * (4 + 8 * filter_w) + 2 * C4 * columns * rows of the ring + 8 * columns bytes, 4-byte aligned. */
void ec_depthwise_conv2d_dsp_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][c]
        const int8_t *weights,        // [filter_h][filter_w][c]
        const ec_channel_data *data,  // of c channels
        int8_t *scratch,
        int8_t *out);                 // [batches][out.h][out.w][c]

/* The same from packed weights, [filter_h][filter_w][c] as one filter; in the same scratch. */
void ec_depthwise_conv2d_packed_dsp_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][c]
        const ec_packed_weights *weights,
        const ec_channel_data *data,  // of c channels
        int8_t *scratch,
        int8_t *out);                 // [batches][out.h][out.w][c]

/* FULLY_CONNECTED with constant weights of zero point 0: four outputs at once. Biases and scales go on to the next four of outputs. */
void ec_fully_connected_dsp_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const int8_t *weights,        // packed, 4-byte aligned: [out_len / 4][in_len / 4] of four words
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *out);                 // [batches][out_len]

/* As ec_add_s8, with a_weight and b_sign above 0. */
void ec_add_dsp_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out);

#ifdef __cplusplus
}
#endif
#endif
