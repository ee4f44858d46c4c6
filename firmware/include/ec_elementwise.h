/* Ops that meet two int8 tensors element by element. The numpy twin is edgecompress/numerics/reference/elementwise.py.
 *
 * Tensors of one shape are flat arrays. Tensors that broadcast come with an `ec_broadcast`, which the generator has merged to as few
 * dimensions as it can. `out` may be the buffer of an input that has the output's shape. */
#ifndef EC_ELEMENTWISE_H
#define EC_ELEMENTWISE_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EC_BROADCAST_RANK 5

/* How two inputs are walked to make a contiguous output, outermost dimension first. Unused dimensions stand in front, with extent 1. */
typedef struct {
    int32_t extents[EC_BROADCAST_RANK];      /* of the output */
    int32_t a_strides[EC_BROADCAST_RANK];    /* in elements; 0 repeats */
    int32_t b_strides[EC_BROADCAST_RANK];
} ec_broadcast;

/* ADD and SUB. `a` is the input with the larger scale: on the scale of twice that, with 20 more bits, it needs no rounding.
 *
 *   term = b_scale * (b * b_weight + b_offset)
 *   out  = clamp(out_zero_point + out_scale * (a * a_weight + a_offset + b_sign * term), out_min, out_max)
 *
 * A weight is a power of two and the offset takes the zero point out: a_offset = -a_weight * a_zero_point. Sums and products stay below
 * 2^30. The scales are here `multiplier * 2^(shift - 32)`, shift in [-31, -1], because the weights hold one more bit than TFLM's. */
typedef struct {
    int32_t a_weight, a_offset;       /* +-2^20 */
    int32_t b_weight, b_offset;       /* 2^21, or 2^22 when both scales are equal */
    int32_t b_sign;                   /* 2 or -2: the term has 19 bits, a has 20 */
    ec_scale b_scale;
    ec_scale out_scale;
    int32_t out_zero_point;
    int32_t out_min, out_max;         /* clamp of the fused activation, within [-128, 127] */
} ec_add_params;

void ec_add_s8(const ec_add_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out);
void ec_add_broadcast_s8(const ec_add_params *p, const ec_broadcast *shape, const int8_t *a, const int8_t *b, int8_t *out);

/* MUL: out = clamp(out_zero_point + scale * (a - a_zero_point) * (b - b_zero_point), out_min, out_max). */
typedef struct {
    int32_t a_zero_point, b_zero_point;      /* [-128, 127] */
    ec_scale scale;
    int32_t out_zero_point;
    int32_t out_min, out_max;                /* clamp of the fused activation, within [-128, 127] */
} ec_mul_params;

void ec_mul_s8(const ec_mul_params *p, const int8_t *a, const int8_t *b, int32_t count, int8_t *out);
void ec_mul_broadcast_s8(const ec_mul_params *p, const ec_broadcast *shape, const int8_t *a, const int8_t *b, int8_t *out);

/* ADD and SUB of int16 with zero points 0, on half of the larger scale with 15 more bits: both terms stay within 2^29.
 *
 *   out = clamp(out_scale * (a_scale * (a << 15) + b_sign * (b_scale * (b << 15))), out_min, out_max) */
typedef struct {
    ec_scale a_scale, b_scale;               /* at most 1/2 */
    int32_t b_sign;                          /* 1 or -1 */
    ec_scale out_scale;                      /* below 1 */
    int32_t out_min, out_max;                /* clamp of the fused activation, within [-32768, 32767] */
} ec_add_s16_params;

void ec_add_s16(const ec_add_s16_params *p, const ec_broadcast *shape, const int16_t *a, const int16_t *b, int16_t *out);

/* MUL of int16 with zero points 0. */
void ec_mul_s16(const ec_mul_params *p, const ec_broadcast *shape, const int16_t *a, const int16_t *b, int16_t *out);

/* PRELU: out = out_zero_point + positive * x where x = a - a_zero_point is not below 0,
 *        else out_zero_point + negative * x * (slope - slope_zero_point); saturated to int8. */
typedef struct {
    int32_t a_zero_point, slope_zero_point;  /* [-128, 127] */
    ec_scale positive, negative;
    int32_t out_zero_point;
} ec_prelu_params;

void ec_prelu_s8(const ec_prelu_params *p, const ec_broadcast *shape, const int8_t *a, const int8_t *slope, int8_t *out);

/* MAXIMUM and MINIMUM of counts: all three tensors have one quantization. */
void ec_maximum_s8(const ec_broadcast *shape, const int8_t *a, const int8_t *b, int8_t *out);
void ec_minimum_s8(const ec_broadcast *shape, const int8_t *a, const int8_t *b, int8_t *out);

#ifdef __cplusplus
}
#endif
#endif
