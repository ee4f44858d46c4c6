/* Ops on one int8 tensor: each count becomes another, whatever its neighbours are; and SOFTMAX, which looks at a row.
 * The numpy twin is edgecompress/numerics/reference/activation.py. */
#ifndef EC_ACTIVATION_H
#define EC_ACTIVATION_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU, RELU to another scale, QUANTIZE between 8-bit types: out = table[(uint8_t)in].
 * `out` may be `in`. */
void ec_lookup_s8(
        const int8_t *in,             // [count]
        const int8_t *table,          // [256]: results for 0 .. 127, then for -128 .. -1
        int32_t count,
        int8_t *out);                 // [count]

/* RELU and RELU6 that keep the quantization: out = clamp(in, low, high). `out` may be `in`. */
void ec_clamp_s8(const int8_t *in, int32_t count, int32_t low, int32_t high, int8_t *out);

/* The same on int16. `out` may be `in`. */
void ec_clamp_s16(const int16_t *in, int32_t count, int32_t low, int32_t high, int16_t *out);

/* RELU of int16 to another scale: out = clamp(scale * in, 0, 32767). `out` may be `in`. */
void ec_relu_s16(const ec_scale *scale, const int16_t *in, int32_t count, int16_t *out);

/* LOGISTIC and TANH of int16, to scale 1/32768: a table of sigmoid(i / 24), i < 256, with 16 fraction bits, is addressed by
 * (in * factor + half of 2^shift) >> shift, and interpolated. `out` may be `in`. */
typedef struct {
    int32_t factor;                   /* [0, 32767] */
    int32_t shift;                    /* [0, 31] */
    const uint16_t *sigmoid;          /* [256] */
} ec_curve_params;

void ec_logistic_s16(const ec_curve_params *p, const int16_t *in, int32_t count, int16_t *out);
void ec_tanh_s16(const ec_curve_params *p, const int16_t *in, int32_t count, int16_t *out);

/* QUANTIZE to and from 16 bits: out = saturate(out_zero_point + scale * (in - in_zero_point)). */
typedef struct {
    int32_t in_zero_point;
    ec_scale scale;
    int32_t out_zero_point;
} ec_quantize_params;

void ec_quantize_s8_s16(const ec_quantize_params *p, const int8_t *in, int32_t count, int16_t *out);
void ec_quantize_s16_s8(const ec_quantize_params *p, const int16_t *in, int32_t count, int8_t *out);     /* `out` may be `in` */
void ec_quantize_s16(const ec_quantize_params *p, const int16_t *in, int32_t count, int16_t *out);       /* `out` may be `in` */

/* SOFTMAX of every row, to scale 1/256 and zero point -128, or 1/65536 and -32768. Exponentials are looked up:
 * exponentials[d] = exp(-d * beta * scale) with 31 fraction bits; beyond `entries` it counts as 0. Sums keep 19 fraction bits, so that
 * 4095 elements of 1 stay below 2^31. */
typedef struct {
    int32_t rows;
    int32_t depth;                    /* [1, 4095] */
    int32_t entries;                  /* [1, 256] */
    const int32_t *exponentials;      /* [entries] */
} ec_softmax_params;

void ec_softmax_s8(const ec_softmax_params *p, const int8_t *in, int8_t *out);           /* [rows][depth]; `out` may be `in` */
void ec_softmax_s8_s16(const ec_softmax_params *p, const int8_t *in, int16_t *out);      /* [rows][depth] */

/* SOFTMAX of int16, to scale 1/32768: both tables have 513 entries of 15 fraction bits, between which it interpolates. */
typedef struct {
    int32_t rows;
    int32_t depth;                    /* [1, 65535] */
    ec_scale scale;                   /* from differences of counts to 10/65535 */
    const int16_t *exponentials;      /* exp from -10 to 0 */
    const int16_t *reciprocals;       /* 1 / (1 + x) from 0 to 1 */
} ec_softmax_s16_params;

void ec_softmax_s16(const ec_softmax_s16_params *p, const int16_t *in, int16_t *out);    /* [rows][depth]; `out` may be `in` */

#ifdef __cplusplus
}
#endif
#endif
