/* Types that every kernel shares. C11, freestanding: no libc header beyond these three.
 *
 * Activations are NHWC int8; `zero_point` fields are in int8 counts. A scale is `multiplier * 2^(shift - 31)` with
 * 2^30 <= multiplier < 2^31 (or 0), shift in [-31, 30]; see edgecompress/numerics/fixedpoint.py. */
#ifndef EC_TYPES_H
#define EC_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

/* Constants of a model: their own section, so that a linked firmware shows what the model itself weighs. Four bytes of alignment let
 * kernels read weights as words. */
#if defined(__ELF__)
#define EC_MODEL_DATA __attribute__((section(".ec_model"), aligned(4)))
#else
#define EC_MODEL_DATA
#endif

/* In front of a loop: do not unroll it. In front of a function: do not inline it; not every file that sees it calls it. */
#if defined(__clang__)
#define EC_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define EC_ROLLED _Pragma("GCC unroll 1")
#else
#define EC_ROLLED
#endif
#define EC_OUT_OF_LINE static __attribute__((noinline, unused))

#ifdef __cplusplus
extern "C" {
#endif

/* A real scale as an integer multiplier and a shift to the left (negative: to the right). */
typedef struct {
    int32_t multiplier;
    int32_t shift;
} ec_scale;

/* What the fast kernels need of an output channel after its sum. */
typedef struct {
    int32_t twice_bias;
    int32_t multiplier;
    int32_t shift_before_last;        /* to the right, less the one bit that the rounding step shifts: in [0, 30] */
} ec_channel;

/* The same between int16 activations: out = clamp(((sum + bias) * multiplier + 2^31) >> 32). A scale of 15 bits, m * 2^(shift - 15), is the
 * multiplier m << (17 + shift). */
typedef struct {
    int32_t bias;
    int32_t multiplier;
} ec_channel_s16;

/* Height, width and channels of an NHWC tensor with one image. */
typedef struct {
    int32_t h, w, c;
} ec_shape;

/* Results of calls that can fail; 0 is success. */
enum ec_status {
    EC_OK = 0,
    EC_ERROR_ARENA = -1,     /* the arena is too small, or not aligned to 16 bytes */
    EC_ERROR_INDEX = -2,     /* no such input, output or step */
    EC_ERROR_INVOKE = -3,    /* the interpreter refused or failed (tflm engine only) */
};

#ifdef __cplusplus
}
#endif
#endif
