/* 2D convolution, int8, portable C.
 *   out[y][x][o] = clamp(zp_out + scale[o] * (bias[o] + sum w[o][ky][kx][c] * (in[y * s + ky * d - pad][x * s + kx * d - pad][c] - zp_in)))
 * This plain loop defines what is correct. */
#include "ec_conv_patch.h"
#include "ec_requantize.h"

static void convolve_pixel(
        const ec_conv_params *p, ec_patch patch, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    const ec_output output = { p->out_zero_point, p->out_min, p->out_max };
    const int32_t filter_len = p->filter_h * p->filter_w * p->filter_c;
    for (int32_t group = 0; group < p->out.c; group += p->filters_per_group, patch.in += p->filter_c) {
        const int32_t end = group + p->filters_per_group;
        for (int32_t o = group, count; o < end; o += count) {
            int32_t acc[4];
            count = end - o >= 4 ? 4 : 1;
            ec_patch_dot(&patch, weights + o * filter_len, count, filter_len, p->in_zero_point, acc);
            ec_requantize_all(acc, bias ? bias + o : NULL, scales + o, 1, output, count, out + o);
        }
    }
}

void ec_conv2d_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c)
                convolve_pixel(
                        p, ec_conv_patch(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left), weights, bias, scales, out);
}
