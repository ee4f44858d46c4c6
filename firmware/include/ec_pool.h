/* Pools and means, int8. The numpy twin is edgecompress/numerics/reference/pool.py. `out` must not overlap `in`. */
#ifndef EC_POOL_H
#define EC_POOL_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Windows over images. A window takes what is inside the image, which is at least one pixel. Input and output have one quantization. */
typedef struct {
    int32_t batches;
    ec_shape in;                      /* of one image, NHWC */
    ec_shape out;                     /* out.c = in.c */
    int32_t filter_h, filter_w;
    int32_t stride_h, stride_w;       /* > 0 */
    int32_t pad_top, pad_left;        /* >= 0 */
    int32_t out_min, out_max;         /* clamp of the fused activation, within [-128, 127] */
} ec_pool_params;

/* AVERAGE_POOL_2D: halves are rounded away from zero. Up to 2^23 pixels a window. */
void ec_average_pool_s8(const ec_pool_params *p, const int8_t *in, int8_t *out);

/* MAX_POOL_2D. */
void ec_max_pool_s8(const ec_pool_params *p, const int8_t *in, int8_t *out);

/* The same on int16, clamps within [-32768, 32767]; averages of up to 2^15 pixels a window. */
void ec_average_pool_s16(const ec_pool_params *p, const int16_t *in, int16_t *out);
void ec_max_pool_s16(const ec_pool_params *p, const int16_t *in, int16_t *out);

#define EC_MEAN_RANK 3

/* MEAN and SUM over any dimensions: out = saturate(out_zero_point + scale * (sum in - in_zero_sum)). The generator merges neighbouring
 * dimensions, so that three kept and three summed ones are enough for any tensor of five; unused ones have extent 1. */
typedef struct {
    int32_t kept_extents[EC_MEAN_RANK];      /* outermost first: the output's order */
    int32_t kept_strides[EC_MEAN_RANK];      /* in elements of `in` */
    int32_t sum_extents[EC_MEAN_RANK];
    int32_t sum_strides[EC_MEAN_RANK];
    int32_t in_zero_sum;                     /* zero point times elements of one sum: at most 2^23 of them */
    ec_scale scale;                          /* 1/n included; the multiplier may be below 2^30 */
    int32_t out_zero_point;
} ec_mean_params;

void ec_mean_s8(const ec_mean_params *p, const int8_t *in, int8_t *out);
void ec_mean_s16(const ec_mean_params *p, const int16_t *in, int16_t *out);      /* zero points 0, at most 2^15 elements a sum */

#ifdef __cplusplus
}
#endif
#endif
