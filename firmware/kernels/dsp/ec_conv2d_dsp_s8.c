/* 2D convolution, int8, for the DSP extension: pairs of pixels against fours of filters.
 *
 * A word of weights holds two elements of two filters: each half is f0 + 256 * f1. SMLAD with the raw word sums x * f0 + 256 * x * f1, SMLAD
 * with its SXTB16 sums x * f0; the difference is 256 times the other filter's sum. Thirteen registers hold eight such sums, two words of
 * inputs and two of weights: 12 instructions for 16 products. */
#include "ec_dsp_conv.h"

void ec_conv2d_dsp_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    const ec_conv_layer l = ec_conv_describe(p, in);
    ec_channel *const channels = (ec_channel *)(void *)scratch;
    const int32_t groups = p->in.c / p->filter_c;
    const int32_t pixels = p->batches * p->out.h * p->out.w;
    ec_conv_job j = {
        .quad = { .row_bytes = 8 * l.steps, .entry = ec_quad_entry(l.steps), .twice_zero_point = 2 * p->out_zero_point + 1 },
        .weights = (const uint32_t *)(const void *)weights,
        .channels = channels,
        .x = (uint32_t *)(void *)ec_fill_channels(channels, data, groups, p->filters_per_group),
        .filters = p->filters_per_group,
    };
    j.quad.x = j.x;
    if (p->filter_h * p->filter_w == 1 && p->stride_h * p->stride_w == 1 && groups == 1)
        ec_conv_all_pixels(&l, &j, in, pixels, out);
    else
        ec_conv_all_windows(&l, &j, in, pixels, out);
    if (p->out_min > -128 || p->out_max < 127)
        for (int32_t i = 0; i < pixels * p->out.c; i++)
            out[i] = (int8_t)ec_clamp(out[i], p->out_min, p->out_max);
}
