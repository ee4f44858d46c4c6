/* The part of a filter's receptive field that lies inside the input, as runs of contiguous bytes: what convolutions sum over.
 * Padded taps are clipped away once per output pixel, so the loops over weights test nothing. */
#ifndef EC_PATCH_H
#define EC_PATCH_H

#include "ec_dot.h"
#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Taps [first, last) of a filter along one dimension. */
typedef struct {
    int32_t first, last;
} ec_taps;

/* The taps k in [0, filter) with 0 <= origin + k * dilation < size; first = last when there is none. Loops instead of divisions: a
 * Cortex-M0+ has no divider, and an interior pixel goes through neither loop. */
static inline ec_taps ec_taps_inside(int32_t origin, int32_t size, int32_t filter, int32_t dilation)
{
    ec_taps taps = { 0, filter };
    while (taps.first < filter && origin + taps.first * dilation < 0)
        taps.first++;
    while (taps.last > taps.first && origin + (taps.last - 1) * dilation >= size)
        taps.last--;
    return taps;
}

static inline bool ec_taps_none(ec_taps taps)
{
    return taps.first == taps.last;
}

/* Rows of taps of contiguous channels, in the input and in one filter. Strides are in elements and may be negative. */
typedef struct {
    const int8_t *in;                     /* the first element */
    int32_t weight_offset;                /* from a filter's start to the weight that meets it */
    int32_t rows, in_row, weight_row;     /* rows, and the stride from one to the next */
    int32_t taps, in_tap, weight_tap;     /* taps in a row, and the stride from one to the next */
    int32_t run;                          /* contiguous elements in a tap */
} ec_patch;

/* acc[f] = sum weight * (in - zero_point) over the patch, for `filters` (4 or 1) filters that lie `filter_stride` elements apart. */
static inline void ec_patch_dot(
        const ec_patch *patch, const int8_t *weights, int32_t filters, int32_t filter_stride, int32_t zero_point, int32_t acc[4])
{
    acc[0] = acc[1] = acc[2] = acc[3] = 0;
    const int8_t *in_row = patch->in;
    const int8_t *w_row = weights + patch->weight_offset;
    EC_ROLLED
    for (int32_t row = 0; row < patch->rows; row++, in_row += patch->in_row, w_row += patch->weight_row) {
        const int8_t *in = in_row;
        const int8_t *w = w_row;
        EC_ROLLED
        for (int32_t tap = 0; tap < patch->taps; tap++, in += patch->in_tap, w += patch->weight_tap) {
            if (filters == 4)
                ec_dot4(in, w, patch->run, zero_point, filter_stride, acc);
            else
                acc[0] += ec_dot(in, w, patch->run, zero_point);
        }
    }
}

#ifdef __cplusplus
}
#endif
#endif
