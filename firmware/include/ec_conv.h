/* Convolutions and dense layers, int8. All of them compute
 *
 *   out = clamp(out_zero_point + scale * (bias + sum weight * (in - in_zero_point)), out_min, out_max)
 *
 * and differ in which weights meet which inputs. Weights have zero point 0 and lie as they do in a .tflite. `bias` may be NULL.
 * Accumulators are int32: |weight * (in - in_zero_point)| <= 128 * 255, so any sum of 2^16 products fits; the generator checks longer ones
 * against the actual weights. `out` must not overlap `in`. */
#ifndef EC_CONV_H
#define EC_CONV_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Geometry and clamps of CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV. Filters come in groups: group g reads input channels
 * [g * filter_c, (g + 1) * filter_c) and writes output channels [g * filters_per_group, (g + 1) * filters_per_group). */
typedef struct {
    int32_t batches;
    ec_shape in;                      /* of one image, NHWC */
    ec_shape out;
    int32_t filter_h, filter_w;
    int32_t filter_c;                 /* input channels that one filter reads: in.c without groups, 1 in a depthwise convolution */
    int32_t filters_per_group;        /* out.c without groups, the depth multiplier in a depthwise convolution */
    int32_t stride_h, stride_w;       /* > 0 */
    int32_t dilation_h, dilation_w;   /* > 0 */
    int32_t pad_top, pad_left;        /* >= 0; padded taps count as in_zero_point */
    int32_t in_zero_point;            /* [-128, 127] */
    int32_t out_zero_point;
    int32_t out_min, out_max;         /* clamp of the fused activation, within [-128, 127] */
} ec_conv_params;

/* CONV_2D, also grouped and dilated. */
void ec_conv2d_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // [out.c][filter_h][filter_w][filter_c]
        const int32_t *bias,          // [out.c], or NULL
        const ec_scale *scales,       // [out.c]
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* DEPTHWISE_CONV_2D: output channel o reads input channel o / filters_per_group. */
void ec_depthwise_conv2d_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // [filter_h][filter_w][out.c]
        const int32_t *bias,          // [out.c], or NULL
        const ec_scale *scales,       // [out.c]
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* TRANSPOSE_CONV: input pixel (y, x) meets output pixel (y * stride_h - pad_top + ky, x * stride_w - pad_left + kx). No groups, no
 * dilation. */
void ec_transpose_conv_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // [out.c][filter_h][filter_w][in.c]
        const int32_t *bias,          // [out.c], or NULL
        const ec_scale *scales,       // [out.c]
        int8_t *out);                 // [batches][out.h][out.w][out.c]

typedef struct {
    int32_t batches;
    int32_t in_len, out_len;
    int32_t scale_stride;             /* 1: scales has one entry an output; 0: its only entry holds for all */
    int32_t in_zero_point;            /* [-128, 127] */
    int32_t weights_zero_point;       /* [-128, 127]; 0 for weights that were constant when the model was made */
    int32_t out_zero_point;
    int32_t out_min, out_max;         /* clamp of the fused activation, within [-128, 127] */
} ec_fc_params;

/* FULLY_CONNECTED: sums of (weight - weights_zero_point) * (in - in_zero_point). */
void ec_fully_connected_s8(
        const ec_fc_params *p,
        const int8_t *in,             // [batches][in_len]
        const int8_t *weights,        // [out_len][in_len]
        const int32_t *bias,          // [out_len], or NULL
        const ec_scale *scales,       // [out_len], or [1]
        int8_t *out);                 // [batches][out_len]

/* The same with 16-bit activations, zero points 0 and 8-bit weights:
 *
 *   out = clamp(scale * (bias + sum weight * in), out_min, out_max)      clamps within [-32768, 32767]
 *
 * Sums have 64 bits, and scales a multiplier of 15 (ec_requantize_s64; shift at most 7, sums below 2^47). A file may hold a bias of 32 bits
 * instead: then sums wrap to 32 bits and are scaled as those of int8. At most one of the two biases is not NULL. */
void ec_conv2d_s16(
        const ec_conv_params *p,
        const int16_t *in,            // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // [out.c][filter_h][filter_w][filter_c]
        const int64_t *bias,          // [out.c], or NULL
        const int32_t *narrow_bias,   // [out.c], or NULL
        const ec_scale *scales,       // [out.c]
        int16_t *out);                // [batches][out.h][out.w][out.c]

void ec_depthwise_conv2d_s16(
        const ec_conv_params *p,
        const int16_t *in,            // [batches][in.h][in.w][in.c]
        const int8_t *weights,        // [filter_h][filter_w][out.c]
        const int64_t *bias,          // [out.c], or NULL
        const ec_scale *scales,       // [out.c]
        int16_t *out);                // [batches][out.h][out.w][out.c]

void ec_fully_connected_s16(
        const ec_fc_params *p,        // zero points 0
        const int16_t *in,            // [batches][in_len]
        const int8_t *weights,        // [out_len][in_len]
        const int64_t *bias,          // [out_len], or NULL
        const int32_t *narrow_bias,   // [out_len], or NULL
        const ec_scale *scales,       // [out_len], or [1]
        int16_t *out);                // [batches][out_len]

#ifdef __cplusplus
}
#endif
#endif
