/* The loops of a depthwise convolution, for weights that lie as in a .tflite; ec_depthwise_conv2d_s8.c says what they compute. */
#ifndef EC_DEPTHWISE_LOOPS_H
#define EC_DEPTHWISE_LOOPS_H

#include "ec_conv_patch.h"
#include "ec_requantize.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Products of four neighbouring channels, for a depth multiplier of 1: in and w move together. `run` is not used: the taps of one channel
 * never touch. */
EC_OUT_OF_LINE void ec_depthwise_dot4(const ec_patch *patch, const int8_t *weights, int32_t zero_point, int32_t acc[4])
{
    int32_t acc0 = 0, acc1 = 0, acc2 = 0, acc3 = 0;
    const int8_t *in_row = patch->in;
    const int8_t *w_row = weights + patch->weight_offset;
    EC_ROLLED
    for (int32_t row = 0; row < patch->rows; row++, in_row += patch->in_row, w_row += patch->weight_row) {
        const int8_t *in = in_row;
        const int8_t *w = w_row;
        EC_ROLLED
        for (int32_t tap = 0; tap < patch->taps; tap++, in += patch->in_tap, w += patch->weight_tap) {
            acc0 += w[0] * (in[0] - zero_point);
            acc1 += w[1] * (in[1] - zero_point);
            acc2 += w[2] * (in[2] - zero_point);
            acc3 += w[3] * (in[3] - zero_point);
        }
    }
    acc[0] = acc0;
    acc[1] = acc1;
    acc[2] = acc2;
    acc[3] = acc3;
}

static inline void ec_depthwise_pixel(
        const ec_conv_params *p, ec_patch patch, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    const ec_output output = { p->out_zero_point, p->out_min, p->out_max };
    const bool four_at_once = p->filters_per_group == 1;
    int32_t served = 0; /* filters of this input channel that are done */
    for (int32_t o = 0, count; o < p->out.c; o += count) {
        int32_t acc[4];
        count = four_at_once && p->out.c - o >= 4 ? 4 : 1;
        if (count == 4)
            ec_depthwise_dot4(&patch, weights + o, p->in_zero_point, acc);
        else
            ec_patch_dot(&patch, weights + o, 1, 0, p->in_zero_point, acc);
        ec_requantize_all(acc, bias ? bias + o : NULL, scales + o, 1, output, count, out + o);
        served += count;
        if (served >= p->filters_per_group) {
            patch.in += count;
            served = 0;
        }
    }
}

static inline void ec_depthwise_images(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c)
                ec_depthwise_pixel(
                        p, ec_window_patch(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left, p->out.c), weights, bias,
                        scales, out);
}

#ifdef __cplusplus
}
#endif
#endif
