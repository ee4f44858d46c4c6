/* 2D convolution, int8, from packed weights, portable C: what ec_conv2d_s8 computes, four filters at a time over all pixels, so that every
 * weight is unpacked once. */
#include "ec_conv_patch.h"
#include "ec_requantize.h"
#include "ec_unpack.h"

/* `count` (4 or 1) neighbouring filters over one image whose channels start at the group's; `out` is their first output. */
static void convolve_image(
        const ec_conv_params *p, const int8_t *in, const int8_t *filters, int32_t count, const int32_t *bias, const ec_scale *scales,
        int8_t *out)
{
    const ec_output output = { p->out_zero_point, p->out_min, p->out_max };
    const int32_t filter_len = p->filter_h * p->filter_w * p->filter_c;
    for (int32_t y = 0; y < p->out.h; y++) {
        for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
            int32_t acc[4];
            const ec_patch patch = ec_conv_patch(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left);
            ec_patch_dot(&patch, filters, count, filter_len, p->in_zero_point, acc);
            ec_requantize_all(acc, bias, scales, 1, output, count, out);
        }
    }
}

void ec_conv2d_packed_s8(
        const ec_conv_params *p, const int8_t *in, const ec_packed_weights *weights, const int32_t *bias, const ec_scale *scales,
        int8_t *scratch, int8_t *out)
{
    const int32_t in_size = p->in.h * p->in.w * p->in.c, out_size = p->out.h * p->out.w * p->out.c;
    for (int32_t group = 0; group < p->out.c; group += p->filters_per_group, in += p->filter_c) {
        const int32_t end = group + p->filters_per_group;
        for (int32_t o = group, count; o < end; o += count) {
            count = end - o >= 4 ? 4 : 1;
            for (int32_t f = 0; f < count; f++)
                ec_unpack(weights, o + f, 0, weights->filter_len, scratch + f * weights->filter_len);
            for (int32_t b = 0; b < p->batches; b++)
                convolve_image(p, in + b * in_size, scratch, count, bias ? bias + o : NULL, scales + o, out + b * out_size + o);
        }
    }
}
