/* Transposed 2D convolution, int8, portable C.
 *   out[y][x][o] = clamp(zp_out + scale[o] * (bias[o] + sum w[o][ky][kx][c] * (in[(y + pad - ky) / s][(x + pad - kx) / s][c] - zp_in)))
 * over the ky, kx that divide evenly and land inside the input. It gathers, so it needs no int32 image of the output. This plain loop
 * defines what is correct. */
#include "ec_conv.h"
#include "ec_patch.h"
#include "ec_requantize.h"

/* Along one dimension: output `at` (padding added) meets taps `tap`, `tap + stride`, ... at inputs `in`, `in - 1`, ...: `count` of them. */
typedef struct {
    int32_t tap, in, count;
} meeting;

static meeting meet(int32_t at, int32_t size, int32_t filter, int32_t stride)
{
    meeting m = { at % stride, at / stride, 0 };
    while (m.in >= size) {
        m.in--;
        m.tap += stride;
    }
    while (m.count <= m.in && m.tap + m.count * stride < filter)
        m.count++;
    return m;
}

static ec_patch patch_at(const ec_conv_params *p, const int8_t *image, meeting rows, meeting taps)
{
    /* A pixel that meets nothing (a stride beyond the filter) points at the image, not before it. */
    const bool empty = rows.count == 0 || taps.count == 0;
    return (ec_patch) {
        .in = empty ? image : image + (rows.in * p->in.w + taps.in) * p->in.c,
        .weight_offset = empty ? 0 : (rows.tap * p->filter_w + taps.tap) * p->in.c,
        .rows = empty ? 0 : rows.count,
        .in_row = -p->in.w * p->in.c,
        .weight_row = p->stride_h * p->filter_w * p->in.c,
        .taps = taps.count,
        .in_tap = -p->in.c,
        .weight_tap = p->stride_w * p->in.c,
        .run = p->in.c,
    };
}

static void convolve_pixel(
        const ec_conv_params *p, const ec_patch *patch, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    const ec_output output = { p->out_zero_point, p->out_min, p->out_max };
    const int32_t filter_len = p->filter_h * p->filter_w * p->in.c;
    for (int32_t o = 0, count; o < p->out.c; o += count) {
        int32_t acc[4];
        count = p->out.c - o >= 4 ? 4 : 1;
        ec_patch_dot(patch, weights + o * filter_len, count, filter_len, p->in_zero_point, acc);
        ec_requantize_all(acc, bias ? bias + o : NULL, scales + o, 1, output, count, out + o);
    }
}

void ec_transpose_conv_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++) {
            const meeting rows = meet(y + p->pad_top, p->in.h, p->filter_h, p->stride_h);
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_patch patch = patch_at(p, in, rows, meet(x + p->pad_left, p->in.w, p->filter_w, p->stride_w));
                convolve_pixel(p, &patch, weights, bias, scales, out);
            }
        }
}
