/* 2D convolution, int8, portable C.
 *   out[y][x][o] = clamp(zp_out + scale[o] * (bias[o] + sum w[o][ky][kx][c] * (in[y * s + ky * d - pad][x * s + kx * d - pad][c] - zp_in)))
 * This plain loop defines what is correct. */
#include "ec_conv.h"
#include "ec_patch.h"
#include "ec_requantize.h"

/* What the filters of the first group see from the output pixel whose window starts at (y, x) of `image`. */
static ec_patch patch_at(const ec_conv_params *p, const int8_t *image, int32_t y, int32_t x)
{
    const ec_taps rows = ec_taps_inside(y, p->in.h, p->filter_h, p->dilation_h);
    const ec_taps taps = ec_taps_inside(x, p->in.w, p->filter_w, p->dilation_w);
    /* A window whose taps straddle the image (dilation) points at the image, not beside it. */
    const bool empty = ec_taps_none(rows) || ec_taps_none(taps);
    ec_patch patch = {
        .in = empty ? image : image + ((y + rows.first * p->dilation_h) * p->in.w + x + taps.first * p->dilation_w) * p->in.c,
        .weight_offset = empty ? 0 : (rows.first * p->filter_w + taps.first) * p->filter_c,
        .rows = empty ? 0 : rows.last - rows.first,
        .in_row = p->dilation_h * p->in.w * p->in.c,
        .weight_row = p->filter_w * p->filter_c,
        .taps = taps.last - taps.first,
        .in_tap = p->dilation_w * p->in.c,
        .weight_tap = p->filter_c,
        .run = p->filter_c,
    };
    /* Without gaps between taps a whole row is one run. */
    if (patch.in_tap == patch.weight_tap) {
        patch.run *= patch.taps;
        patch.taps = 1;
    }
    return patch;
}

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
                        p, patch_at(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left), weights, bias, scales, out);
}
