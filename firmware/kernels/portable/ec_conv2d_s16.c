/* 2D convolution, int16 activations and int8 weights, portable C.
 *   out[y][x][o] = clamp(scale[o] * (bias[o] + sum w[o][ky][kx][c] * in[y * s + ky * d - pad][x * s + kx * d - pad][c]))
 * This plain loop defines what is correct. */
#include "ec_conv.h"
#include "ec_patch.h"
#include "ec_sums_s16.h"

/* Taps of the filter that lie inside the image, for one output pixel. */
typedef struct {
    const int16_t *in;                /* what the first one sees */
    int32_t weight_offset;            /* from a filter's start to the first one */
    int32_t rows, columns;
} seen;

static seen seen_at(const ec_conv_params *p, const int16_t *image, int32_t y, int32_t x)
{
    const ec_taps rows = ec_taps_inside(y, p->in.h, p->filter_h, p->dilation_h);
    const ec_taps columns = ec_taps_inside(x, p->in.w, p->filter_w, p->dilation_w);
    if (ec_taps_none(rows) || ec_taps_none(columns))
        return (seen) { image, 0, 0, 0 };
    return (seen) {
        .in = image + ((y + rows.first * p->dilation_h) * p->in.w + x + columns.first * p->dilation_w) * p->in.c,
        .weight_offset = (rows.first * p->filter_w + columns.first) * p->filter_c,
        .rows = rows.last - rows.first,
        .columns = columns.last - columns.first,
    };
}

/* acc[f] for `filters` (4 or 1) filters. */
static void sum_up(const ec_conv_params *p, const seen *s, const int8_t *weights, int32_t filters, int64_t acc[4])
{
    const int32_t filter_len = p->filter_h * p->filter_w * p->filter_c;
    const bool gaps = p->dilation_w != 1 || p->filter_c != p->in.c;
    /* Without gaps between taps a whole row is one run. */
    const int32_t taps = gaps ? s->columns : 1, run = gaps ? p->filter_c : s->columns * p->filter_c;
    acc[0] = acc[1] = acc[2] = acc[3] = 0;
    for (int32_t row = 0; row < s->rows; row++) {
        const int16_t *in = s->in + row * p->dilation_h * p->in.w * p->in.c;
        const int8_t *w = weights + s->weight_offset + row * p->filter_w * p->filter_c;
        for (int32_t tap = 0; tap < taps; tap++, in += p->dilation_w * p->in.c, w += p->filter_c) {
            if (filters == 4)
                ec_dot4_s16(in, w, run, filter_len, acc);
            else
                acc[0] += ec_dot_s16(in, w, run);
        }
    }
}

void ec_conv2d_s16(
        const ec_conv_params *p, const int16_t *in, const int8_t *weights, const int64_t *bias, const int32_t *narrow_bias,
        const ec_scale *scales, int16_t *out)
{
    const int32_t filter_len = p->filter_h * p->filter_w * p->filter_c;
    for (int32_t b = 0; b < p->batches; b++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                seen s = seen_at(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left);
                for (int32_t group = 0; group < p->out.c; group += p->filters_per_group, s.in += p->filter_c) {
                    const int32_t end = group + p->filters_per_group;
                    for (int32_t o = group, count; o < end; o += count) {
                        int64_t acc[4];
                        count = end - o >= 4 ? 4 : 1;
                        sum_up(p, &s, weights + o * filter_len, count, acc);
                        for (int32_t f = 0; f < count; f++)
                            out[o + f] = ec_finish_s16(acc[f], bias, narrow_bias, o + f, scales[o + f], p->out_min, p->out_max);
                    }
                }
            }
}
