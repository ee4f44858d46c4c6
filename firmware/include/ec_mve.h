/* Kernels for cores with the integer vectors of MVE (Cortex-M55, M85): 16 products an instruction, weights repacked by the generator.
 * docs/kernels.md draws the layouts; the packing stands in edgecompress/codegen/lower/packing_mve.py.
 *
 * Raw inputs meet the weights: the zero point of the inputs is folded into the bias (bias - in_zero_point * sum of weights), and a padded tap
 * counts as in_zero_point. The generator takes these kernels only where, whatever the inputs,
 *   |bias + sum| < 2^30,
 *   scales have shift <= -1         the last step is a shift to the right.
 *
 * Without MVE (hosts) the same loops run in plain C. */
#ifndef EC_MVE_H
#define EC_MVE_H

#include "ec_channels.h"
#include "ec_conv.h"
#include "ec_elementwise.h"
#include "ec_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CONV_2D without groups and with dilation_w 1. Each row of outputs first gets its input columns in scratch, a column's rows one after the other,
 * so that every window is contiguous; a 1x1 filter reads the input itself. Pairs of pixels meet fours of filters. `out` may lie over `in` as
 * far as the generator's lead allows. Scratch, 4-byte aligned: 12 bytes a channel (padded to fours), 16 bytes an input channel if those are
 * fewer than 8, and the columns. */
void ec_conv2d_mve_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // packed
        const ec_channel_data *data,  // of out.c channels
        int8_t *scratch,
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* DEPTHWISE_CONV_2D with a depth multiplier of 1 and taps that span at most 8 rows. Rows go into a ring in scratch, a plane for each channel, so
 * that the taps of a window are contiguous. `out` may lie over `in` as far as the generator's lead allows. With channels C4 padded to fours,
 * slots = 1, 4 or 8 (no fewer than the rows that taps span) and vectors = the columns that taps span, times slots, in whole vectors of 16:
 * scratch is C4 * (12 + 16 * vectors + (out.w - 1) * stride_w * slots + 16 * vectors) bytes, 4-byte aligned, and 4 * out.w if C4 > in.c. */
void ec_depthwise_conv2d_mve_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][c]
        const int8_t *weights,        // [filter_h][filter_w][c]
        const ec_channel_data *data,  // of c channels
        int8_t *scratch,
        int8_t *out);                 // [batches][out.h][out.w][c]

/* FULLY_CONNECTED with constant weights of zero point 0: four outputs at once. */
void ec_fully_connected_mve_s8(
        const ec_fc_params *p,
        const int8_t *in,             // [batches][in_len]
        const int8_t *weights,        // packed
        const int32_t *bias,          // [out_len], folded
        const ec_scale *scales,       // [out_len], or [1]
        int8_t *out);                 // [batches][out_len]

/* As ec_add_s8. */
void ec_add_mve_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out);

/* As ec_mul_s8, for a scale that shifts to the right. */
void ec_mul_mve_s8(const ec_mul_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out);

/* As ec_average_pool_s8, for windows of up to 256 pixels. */
void ec_average_pool_mve_s8(const ec_pool_params *p, const int8_t *in, int8_t *out);

/* As ec_max_pool_s8. */
void ec_max_pool_mve_s8(const ec_pool_params *p, const int8_t *in, int8_t *out);

/* As ec_mean_s8, for a scale that shifts to the right and kept_strides[2] of 1. */
void ec_mean_mve_s8(const ec_mean_params *p, const int8_t *in, int8_t *out);

#ifdef __cplusplus
}
#endif
#endif
