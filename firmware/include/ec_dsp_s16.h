/* Layers with weights on int16 activations for cores with the DSP extension (Cortex-M4, M7, M33, M55): two products an instruction, weights
 * repacked by the generator (edgecompress/codegen/lower/sixteen_dsp.py). Zero points are 0, so a padded tap is 0.
 *
 * The generator takes these kernels only where, whatever the inputs,
 *   |bias + sum| < 2^31           sums stay in int32,
 *   scales have shifts -17 to -1  the one rounding of 64-bit sums is the one that SMMULR does (ec_channel_s16).
 *
 * A word of four weights k holds them as (0, 2, 1, 3): SXTB16 makes the pairs (0, 1) and (2, 3) of it, as int16 inputs lie. Without the
 * extension (hosts) the same loops run in plain C. `out` must not overlap `in`. */
#ifndef EC_DSP_S16_H
#define EC_DSP_S16_H

#include "ec_conv.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CONV_2D without groups, of four output pixels or more in an image. Four windows at a time are copied to scratch, padded with zeros, their
 * pairs of elements side by side; then each filter sums all four from registers. */
void ec_conv2d_dsp_s16(
        const ec_conv_params *p,
        const int16_t *in,                // [batches][in.h][in.w][in.c]
        const int8_t *weights,            // 4-byte aligned: [out.c][window's elements, padded to fours]
        const ec_channel_s16 *channels,   // [out.c]
        int16_t *scratch,                 // 4-byte aligned: four windows, each padded to fours of elements
        int16_t *out);                    // [batches][out.h][out.w][out.c]

/* DEPTHWISE_CONV_2D with a depth multiplier of 1 and four channels or more: four channels at a time, the last four end with the last channel. */
void ec_depthwise_conv2d_dsp_s16(
        const ec_conv_params *p,
        const int16_t *in,                // [batches][in.h][in.w][c]
        const int8_t *weights,            // 4-byte aligned: [fours of channels][filter_h][filter_w][4 channels]
        const ec_channel_s16 *channels,   // [c]
        int16_t *out);                    // [batches][out.h][out.w][c]

/* FULLY_CONNECTED: four outputs at a time. */
void ec_fully_connected_dsp_s16(
        const ec_fc_params *p,            // scale_stride and the zero points are not read
        const int16_t *in,                // [batches][in_len]
        const int8_t *weights,            // 4-byte aligned: [fours of outputs][fours of inputs][4 outputs][4]
        const ec_channel_s16 *channels,   // [out_len]
        int16_t *out);                    // [batches][out_len]

typedef struct {
    int32_t a_factor;                     /* 2^14 or -2^14: a has the larger scale */
    int32_t b_factor;                     /* 1 or -1; 2^14 or -2^14 where both scales are equal */
    int32_t b_multiplier;                 /* 0 where both scales are equal */
    int32_t b_shift_before_last;          /* as in ec_channel */
    int32_t out_multiplier, out_shift_before_last;
    int32_t out_min, out_max;             /* clamp of the fused activation, within [-32768, 32767] */
} ec_add_dsp_s16_params;

/* As ec_add_s16, where both inputs have the output's shape. Each element of both is read before its place is written. */
void ec_add_dsp_s16(const ec_add_dsp_s16_params *p, const int16_t *a, const int16_t *b, int32_t count, int16_t *out);

#ifdef __cplusplus
}
#endif
#endif
