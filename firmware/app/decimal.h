/* Real numbers of the MLPerf Tiny protocol in integer arithmetic, so that a core without an FPU links no float code.
 * A float32 is given and taken as its IEEE-754 bits; results equal those of C's float arithmetic and printf("%.3f"). */
#ifndef EC_APP_DECIMAL_H
#define EC_APP_DECIMAL_H

#include "ec_types.h"

/* Thousandths with their sign apart, because -0.000 has one. `thousandths` is UINT64_MAX from 2^52 on, and for infinite or NaN. */
typedef struct {
    bool negative;
    uint64_t thousandths;
} decimal;

/* A float32, rounded to thousandths, half to even. */
decimal ec_decimal_of_float(uint32_t bits);

/* (float)(q - zero_point) * scale, rounded to thousandths. The scale is positive and finite. */
decimal ec_decimal_dequantize(int64_t q_minus_zero_point, uint32_t scale_bits);

/* round(value / scale) + zero_point, saturated to int8; halves go away from zero. NaN gives zero_point. */
int8_t ec_decimal_quantize(uint32_t value_bits, uint32_t scale_bits, int32_t zero_point);

/* q * scale as a fixed-point number with 24 fractional bits, truncated. |q| < 2^9; saturates above 2^38. */
int64_t ec_decimal_fixed24(int32_t q, uint32_t scale_bits);

#endif
