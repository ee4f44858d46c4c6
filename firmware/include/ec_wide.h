/* Kernels for application processors (x86-64 and 64-bit Arm): the instructions are chosen when the program runs, see ec_wide_level.h.
 * docs/kernels.md draws the layouts; the packing stands in edgecompress/codegen/lower/packing_wide.py.
 *
 * Outputs go in eights of channels. `channels` holds int32_t [eights][4][8] of them:
 *   bias             the file's bias - in_zero_point * sum of the channel's weights, so that raw inputs are multiplied, and a padded tap
 *                    counts as in_zero_point;
 *   unsigned bias    the same less 128 * sum of weights, for instructions that take inputs as unsigned bytes, in + 128;
 *   multiplier       of the scale;
 *   shift            to the right, less the one bit that the rounding step shifts: in [0, 30].
 * The generator takes these kernels only where |bias + sum| < 2^30 whatever the inputs, and every scale shifts to the right: then doubled
 * accumulators fit int32. Vectors are loaded and stored unaligned, and never reach beyond a tensor. */
#ifndef EC_WIDE_H
#define EC_WIDE_H

#include "ec_conv.h"
#include "ec_elementwise.h"
#include "ec_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CONV_2D, also grouped and dilated. Pixels go in fours: their windows are copied to scratch, then met with one or two eights of filters.
 * With n = filter_h * filter_w * filter_c, padded with zeros to fours, and k the smaller of 4 and the number of output pixels, scratch is
 * 3 * k * n bytes. `out` may lie over `in` as far as the generator's lead allows. */
void ec_conv2d_wide_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // [groups][eights][n / 4][8][4]: filters padded to eights
        const int32_t *channels,      // [groups][eights][4][8]
        int8_t *scratch,
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* DEPTHWISE_CONV_2D with a depth multiplier of 1 and 8 channels or more. The last eight of channels ends with the last channel, so that it
 * may overlap the one before. With t taps, padded to an even number, scratch is 16 + 12 * t + in.c + 32 * eights * t / 2 bytes. */
void ec_depthwise_conv2d_wide_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][c]
        const int8_t *weights,        // [filter_h][filter_w][c]
        const int32_t *channels,      // [eights][4][8]
        int8_t *scratch,
        int8_t *out);                 // [batches][out.h][out.w][c]

/* FULLY_CONNECTED with constant weights of zero point 0. Scratch as in ec_conv2d_wide_s8, with n of in_len and batches for pixels. */
void ec_fully_connected_wide_s8(
        const ec_fc_params *p,
        const int8_t *in,             // [batches][in_len]
        const int8_t *weights,        // [eights][n / 4][8][4]: outputs padded to eights
        const int32_t *channels,      // [eights][4][8]
        int8_t *scratch,
        int8_t *out);                 // [batches][out_len]

/* As ec_add_s8. */
void ec_add_wide_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out);

/* As ec_average_pool_s8. */
void ec_average_pool_wide_s8(const ec_pool_params *p, const int8_t *in, int8_t *out);

#ifdef __cplusplus
}
#endif
#endif
