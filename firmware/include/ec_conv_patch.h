/* The part of the input that a convolution's filters see, one output pixel after the other. */
#ifndef EC_CONV_PATCH_H
#define EC_CONV_PATCH_H

#include "ec_conv.h"
#include "ec_patch.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What one filter sees from the output pixel whose window starts at (y, x) of `image`; weights of neighbouring taps lie `weight_tap` apart. */
static inline ec_patch ec_window_patch(const ec_conv_params *p, const int8_t *image, int32_t y, int32_t x, int32_t weight_tap)
{
    const ec_taps rows = ec_taps_inside(y, p->in.h, p->filter_h, p->dilation_h);
    const ec_taps taps = ec_taps_inside(x, p->in.w, p->filter_w, p->dilation_w);
    /* A window whose taps straddle the image (dilation) points at the image, not beside it. */
    const bool empty = ec_taps_none(rows) || ec_taps_none(taps);
    ec_patch patch;
    patch.in = empty ? image : image + ((y + rows.first * p->dilation_h) * p->in.w + x + taps.first * p->dilation_w) * p->in.c;
    patch.weight_offset = empty ? 0 : (rows.first * p->filter_w + taps.first) * weight_tap;
    patch.rows = empty ? 0 : rows.last - rows.first;
    patch.in_row = p->dilation_h * p->in.w * p->in.c;
    patch.weight_row = p->filter_w * weight_tap;
    patch.taps = taps.last - taps.first;
    patch.in_tap = p->dilation_w * p->in.c;
    patch.weight_tap = weight_tap;
    patch.run = p->filter_c;
    return patch;
}

/* The same for the filters of CONV_2D's first group. */
static inline ec_patch ec_conv_patch(const ec_conv_params *p, const int8_t *image, int32_t y, int32_t x)
{
    ec_patch patch = ec_window_patch(p, image, y, x, p->filter_c);
    /* Without gaps between taps a whole row is one run. */
    if (patch.in_tap == patch.weight_tap) {
        patch.run *= patch.taps;
        patch.taps = 1;
    }
    return patch;
}

#ifdef __cplusplus
}
#endif
#endif
