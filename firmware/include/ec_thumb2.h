/* Kernels for Thumb-2 cores without the DSP extension (Cortex-M3): multiply-accumulate of single elements, with four pixels and two filters
 * in registers. No 64-bit multiply-accumulate in inner loops: SMLAL takes 4 to 7 cycles on a Cortex-M3, MLA takes 2 (Cortex-M3 Technical
 * Reference Manual, table 3-1). Weights are repacked by the generator, see docs/kernels.md; without Thumb-2 (hosts) the loops are plain C.
 *
 * The generator takes these kernels where |bias + sum| < 2^30 whatever the inputs, and scales have shift <= -1. */
#ifndef EC_THUMB2_H
#define EC_THUMB2_H

#include "ec_channels.h"
#include "ec_conv.h"
#include "ec_elementwise.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CONV_2D, also grouped and dilated. `out` may lie over `in` as far as the generator's lead allows. */
void ec_conv2d_thumb2_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // [groups][twos of filters][filter_h][filter_w][filter_c][2]
        const ec_channel_data *data,  // of out.c channels
        int8_t *scratch,              // 4-byte aligned: 12 bytes a channel (groups padded to fours), 16 bytes an element of a window,
                                      // 4 * out.c bytes
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* DEPTHWISE_CONV_2D with a depth multiplier of 1. `out` may lie over `in` as far as the generator's lead allows.
 * With columns = (outputs in a row, four at least, - 1) * stride_w + (filter_w - 1) * dilation_w + 1 and rows = (filter_h - 1) * dilation_h + 2,
 * scratch is 12 bytes a channel (padded to fours), 4 * filter_h, c * columns * rows and 4 * c bytes, 4-byte aligned. */
void ec_depthwise_conv2d_thumb2_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][c]
        const int8_t *weights,        // [c][filter_h][filter_w]
        const ec_channel_data *data,  // of c channels
        int8_t *scratch,
        int8_t *out);                 // [batches][out.h][out.w][c]

/* FULLY_CONNECTED with constant weights of zero point 0: four outputs at once. Biases and scales go on to the next four of outputs. */
void ec_fully_connected_thumb2_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const uint8_t *weights,       // 4-byte aligned, each + 128: [out_len / 4][in_len / 2][filters 0, 1 and 2, 3][second, first element][2]
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *out);                 // [batches][out_len]

/* ADD of tensors of one shape: as ec_add_s8, with a_weight = 2^20 and b_sign = 2. `out` may be `a` or `b`. */
void ec_add_thumb2_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out);

#ifdef __cplusplus
}
#endif
#endif
