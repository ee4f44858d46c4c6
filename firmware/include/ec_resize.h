/* Images in another size. The numpy twin is edgecompress/numerics/reference/resize.py. `out` must not overlap `in`. */
#ifndef EC_RESIZE_H
#define EC_RESIZE_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* RESIZE_NEAREST_NEIGHBOR of any element type: each output pixel is a copy of one input pixel. */
typedef struct {
    int32_t batches;
    int32_t in_h, in_w;
    int32_t out_h, out_w;
    int32_t pixel_bytes;
    const uint16_t *rows;             /* [out_h]: the input row that each output row copies */
    const uint16_t *columns;          /* [out_w] */
} ec_resize_nearest_params;

void ec_resize_nearest(const ec_resize_nearest_params *p, const int8_t *in, int8_t *out);

/* Positions along one axis in 1/1024 input pixels: output i looks at i * step + start, which lies between input pixels or up to one
 * pixel outside. */
typedef struct {
    int32_t step, start;
} ec_bilinear_axis;

/* RESIZE_BILINEAR: four pixels, weighted by their distance; halves are rounded away from zero. Weights are in [-1024, 2048] of 1024, so
 * that the sum stays below 128 * 3072^2 < 2^31. */
typedef struct {
    int32_t batches;
    ec_shape in;                      /* of one image, NHWC */
    ec_shape out;                     /* out.c = in.c */
    ec_bilinear_axis rows, columns;
} ec_resize_bilinear_params;

void ec_resize_bilinear_s8(const ec_resize_bilinear_params *p, const int8_t *in, int8_t *out);

#ifdef __cplusplus
}
#endif
#endif
