/* Depthwise 2D convolution, int16 activations and int8 weights, portable C.
 *   out[y][x][o] = clamp(scale[o] * (bias[o] + sum w[ky][kx][o] * in[y * s + ky * d - pad][x * s + kx * d - pad][o / m]))
 * with m = filters_per_group, the depth multiplier. This plain loop defines what is correct. */
#include "ec_conv.h"
#include "ec_patch.h"
#include "ec_sums_s16.h"

static int64_t sum_up(
        const ec_conv_params *p, const int16_t *image, const int8_t *weights, int32_t y, int32_t x, ec_taps rows, ec_taps columns)
{
    int64_t acc = 0;
    for (int32_t ky = rows.first; ky < rows.last; ky++) {
        const int16_t *in = image + (y + ky * p->dilation_h) * p->in.w * p->in.c;
        const int8_t *w = weights + ky * p->filter_w * p->out.c;
        for (int32_t kx = columns.first; kx < columns.last; kx++)
            acc += w[kx * p->out.c] * in[(x + kx * p->dilation_w) * p->in.c];
    }
    return acc;
}

static void convolve_pixel(
        const ec_conv_params *p, const int16_t *image, const int8_t *weights, const int64_t *bias, const ec_scale *scales, int32_t y,
        int32_t x, int16_t *out)
{
    const ec_taps rows = ec_taps_inside(y, p->in.h, p->filter_h, p->dilation_h);
    const ec_taps columns = ec_taps_inside(x, p->in.w, p->filter_w, p->dilation_w);
    int32_t served = 0; /* filters of this input channel that are done */
    for (int32_t o = 0; o < p->out.c; o++) {
        const int64_t acc = sum_up(p, image, weights + o, y, x, rows, columns);
        out[o] = ec_finish_s16(acc, bias, NULL, o, scales[o], p->out_min, p->out_max);
        if (++served == p->filters_per_group) {
            image++;
            served = 0;
        }
    }
}

void ec_depthwise_conv2d_s16(
        const ec_conv_params *p, const int16_t *in, const int8_t *weights, const int64_t *bias, const ec_scale *scales, int16_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c)
                convolve_pixel(p, in, weights, bias, scales, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left, out);
}
