/* 2D convolution, int8, for application processors: four windows at a time against eights of filters. */
#include "ec_patch.h"
#include "ec_wide.h"
#include "ec_wide_copy.h"
#include "ec_wide_tiles.h"

/* Output pixels in order: image, row, column. */
typedef struct {
    const int8_t *image;
    int32_t y, x;
} place;

static void advance(place *at, const ec_conv_params *p)
{
    if (++at->x < p->out.w)
        return;
    at->x = 0;
    if (++at->y < p->out.h)
        return;
    at->y = 0;
    at->image += p->in.h * p->in.w * p->in.c;
}

/* Whether a window is a pixel as it lies in the input, and the next output's window the next pixel. */
static bool is_pointwise(const ec_conv_params *p)
{
    return p->filter_h == 1 && p->filter_w == 1 && p->stride_h == 1 && p->stride_w == 1 && p->filter_c == p->in.c && (p->in.c & 3) == 0;
}

/* A row of taps; x is the column of the first one. */
static int8_t *copy_row(const ec_conv_params *p, const int8_t *row, int32_t x, int8_t *to)
{
    const ec_taps taps = ec_taps_inside(x, p->in.w, p->filter_w, p->dilation_w);
    const int32_t count = taps.last - taps.first;
    to = ec_wide_fill(to, (int8_t)p->in_zero_point, taps.first * p->filter_c);
    if (count != 0) {
        const int8_t *from = row + (x + taps.first * p->dilation_w) * p->in.c;
        if (p->dilation_w * p->in.c == p->filter_c) {
            to = ec_wide_copy(to, from, count * p->filter_c);
        } else {
            for (int32_t tap = 0; tap < count; tap++, from += p->dilation_w * p->in.c)
                to = ec_wide_copy(to, from, p->filter_c);
        }
    }
    return ec_wide_fill(to, (int8_t)p->in_zero_point, (p->filter_w - taps.last) * p->filter_c);
}

/* Whether all taps lie inside, those of a row side by side. */
static bool is_inside(const ec_conv_params *p, int32_t y, int32_t x)
{
    return p->dilation_w * p->in.c == p->filter_c && y >= 0 && y + (p->filter_h - 1) * p->dilation_h < p->in.h && x >= 0 &&
           x + p->filter_w <= p->in.w;
}

static int8_t *copy_inside(const ec_conv_params *p, const int8_t *from, int8_t *to)
{
    const int32_t run = p->filter_w * p->filter_c, row = p->dilation_h * p->in.w * p->in.c;
    for (int32_t ky = 0; ky < p->filter_h; ky++, from += row)
        to = ec_wide_copy(to, from, run);
    return to;
}

static void copy_window(const ec_conv_params *p, place at, int32_t channel, int8_t *to)
{
    const int32_t y = at.y * p->stride_h - p->pad_top, x = at.x * p->stride_w - p->pad_left;
    if (is_inside(p, y, x)) {
        to = copy_inside(p, at.image + (y * p->in.w + x) * p->in.c, to);
        ec_wide_window_end(to, p->filter_h * p->filter_w * p->filter_c);
        return;
    }
    for (int32_t ky = 0; ky < p->filter_h; ky++) {
        const int32_t row = y + ky * p->dilation_h;
        if (row >= 0 && row < p->in.h)
            to = copy_row(p, at.image + row * p->in.w * p->in.c + channel, x, to);
        else
            to = ec_wide_fill(to, (int8_t)p->in_zero_point, p->filter_w * p->filter_c);
    }
    ec_wide_window_end(to, p->filter_h * p->filter_w * p->filter_c);
}

static void copy_windows(const ec_conv_params *p, place at, int32_t channel, int32_t pixels, int32_t stride, int8_t *to)
{
    for (int32_t n = 0; n < pixels; n++, to += stride, advance(&at, p))
        copy_window(p, at, channel, to);
}

void ec_conv2d_wide_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const int32_t *channels, int8_t *scratch, int8_t *out)
{
    const ec_tile_function sum_up = ec_find_tile();
    const int32_t pixels = p->batches * p->out.h * p->out.w, most = pixels < EC_WIDE_PIXELS ? pixels : EC_WIDE_PIXELS;
    const int32_t steps = (p->filter_h * p->filter_w * p->filter_c + 3) / 4, groups = p->out.c / p->filters_per_group;
    const int32_t eights = ec_wide_eights(p->filters_per_group);
    const bool pointwise = is_pointwise(p);
    place at = { in, 0, 0 };
    ec_wide_tile tile = {
        .windows = scratch,
        .window_stride = 4 * steps,
        .steps = steps,
        .filters = p->filters_per_group,
        .output = { 2 * p->out_zero_point + 1, p->out_min, p->out_max },
        .scratch = scratch + 4 * steps * most,
        .out_stride = p->out.c,
    };
    for (int32_t done = 0; done < pixels; done += tile.pixels) {
        tile.pixels = pixels - done < EC_WIDE_PIXELS ? pixels - done : EC_WIDE_PIXELS;
        for (int32_t group = 0; group < groups; group++) {
            tile.weights = weights + (ptrdiff_t)group * eights * steps * EC_STEP_BYTES;
            tile.channels = channels + group * eights * EC_EIGHT_LEN;
            tile.out = out + done * p->out.c + group * p->filters_per_group;
            if (pointwise)
                tile.windows = in + done * p->in.c;
            else
                copy_windows(p, at, group * p->filter_c, tile.pixels, 4 * steps, scratch);
            sum_up(&tile);
        }
        for (int32_t n = 0; n < tile.pixels; n++)
            advance(&at, p);
    }
}
