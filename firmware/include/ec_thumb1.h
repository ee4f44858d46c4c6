/* Kernels for 16-bit Thumb (Cortex-M0, M0+): multiply-accumulate of single elements, with five pixels in registers and in turn against one
 * filter. Weights lie as in the file, raised by 128, because LDRB takes an offset and LDRSB does not (ARMv6-M Architecture Reference
 * Manual, A6.7); without Thumb (hosts) the loops are plain C.
 *
 * The generator takes these kernels where |bias + sum| < 2^30 whatever the inputs, and scales have shift <= -1. */
#ifndef EC_THUMB1_H
#define EC_THUMB1_H

#include "ec_channels.h"
#include "ec_conv.h"
#include "ec_elementwise.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EC_THUMB1_MIDDLE ((1u << 30) + (1u << 14))

/* (x * multiplier + 2^30) >> 31 in products of 16 bits. |x| < 2^30 and 0 <= multiplier < 2^31: the terms in the middle lie within
 * (-2^30, 3 * 2^30), and 2^30 more makes them unsigned. */
static inline int32_t ec_thumb1_high_product(int32_t x, int32_t multiplier)
{
    const int32_t high = multiplier >> 16, low = multiplier & 0xffff;
    const int32_t x_high = x >> 16;
    const uint32_t x_low = (uint32_t)x & 0xffff;
    const uint32_t middle = x_low * (uint32_t)high + (x_low * (uint32_t)low >> 16) + (uint32_t)(x_high * low) + EC_THUMB1_MIDDLE;
    return 2 * (x_high * high) + (int32_t)(middle >> 15) - (1 << 15);
}

/* The shift of a scale with its rounding, the zero point and saturation. */
static inline int8_t ec_thumb1_output(int32_t high, int32_t shift_before_last, int32_t twice_zero_point)
{
    high += high >> 31;
    const int32_t value = ((high >> shift_before_last) + twice_zero_point) >> 1;
    return (int8_t)(value == (int8_t)value ? value : value < 0 ? -128 : 127);
}

/* CONV_2D, also grouped and dilated. `out` may lie over `in` as far as the generator's lead allows. */
void ec_conv2d_thumb1_s8(
        const ec_conv_params *p,
        int32_t rows,                 // of taps that are expanded at once: in [1, filter_h]
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const uint8_t *weights,       // [out.c][filter_h][filter_w][filter_c], each + 128
        const ec_channel_data *data,  // of out.c channels
        int8_t *scratch,              // 4-byte aligned: 12 bytes a channel (groups padded to fours), 20 bytes a filter of a group
                                      // and 20 bytes an element of `rows` rows of taps
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* DEPTHWISE_CONV_2D, of a depth multiplier of 1, with taps of a row side by side. `out` may lie over `in` as far as the generator's lead
 * allows. */
void ec_depthwise_conv2d_thumb1_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][c]
        const int8_t *weights,        // [filter_h][filter_w][c]
        const ec_channel_data *data,  // of c channels
        int8_t *scratch,              // 4-byte aligned: 12 bytes a channel (padded to fours), 20 a channel, and a window
        int8_t *out);                 // [batches][out.h][out.w][c]

/* FULLY_CONNECTED with constant weights of zero point 0: four outputs at once. Biases and scales go on to the next four of outputs. */
void ec_fully_connected_thumb1_s8(
        const ec_dense_params *p,
        const int8_t *in,             // [batches][in_len]
        const uint8_t *weights,       // [out_len / 4][in_len][4], each + 128
        const int32_t *twice_bias,    // [out_len], folded and doubled
        const ec_scale *scales,       // [out_len], or [1]; with shifts as in ec_channel
        int8_t *out);                 // [batches][out_len]

/* ADD and SUB of tensors of one shape; a_weight is 2^20. `out` may be `a` or `b`. */
void ec_add_thumb1_s8(
        const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count,
        int8_t *scratch,              // 4-byte aligned: 1,024 bytes
        int8_t *out);

#ifdef __cplusplus
}
#endif
#endif
