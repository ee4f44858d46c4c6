/* Ops that only move elements, of any type: sizes and strides are in bytes. `out` must not overlap `in`. */
#ifndef EC_SHAPE_H
#define EC_SHAPE_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CONCATENATION and PACK: `blocks` times, one block from each input in turn. */
void ec_join(
        const int8_t *const in[],     // [count] tensors of blocks * block_bytes[i]
        const int32_t *block_bytes,   // [count]
        int32_t count,
        int32_t blocks,
        int8_t *out);

/* SPLIT and UNPACK: `blocks` times, one block to each output in turn. */
void ec_split(
        const int8_t *in,
        const int32_t *block_bytes,   // [count]
        int32_t count,
        int32_t blocks,
        int8_t *const out[]);         // [count] tensors of blocks * block_bytes[i]

#define EC_PAD_RANK 4

/* PAD and PADV2: rows of the input are set into an output filled with one byte. */
typedef struct {
    int32_t extents[EC_PAD_RANK];     /* rows of the input, outermost dimension first; unused ones have extent 1 and stand in front */
    int32_t strides[EC_PAD_RANK];     /* from one row to the next, in `out` */
    int32_t offset;                   /* of the first row, in `out` */
    int32_t row_bytes;
    int32_t out_bytes;
    int32_t fill;                     /* the byte between rows, [-128, 127] */
} ec_pad_params;

void ec_pad(const ec_pad_params *p, const int8_t *in, int8_t *out);

#define EC_COPY_RANK 5

/* TRANSPOSE and STRIDED_SLICE: blocks gathered from anywhere in `in` into a contiguous `out`. */
typedef struct {
    int32_t extents[EC_COPY_RANK];    /* blocks of the output, outermost dimension first; unused ones have extent 1 and stand in front */
    int32_t strides[EC_COPY_RANK];    /* from one block to the next, in `in`; below 0 goes backwards */
    int32_t offset;                   /* of the first block, in `in` */
    int32_t block_bytes;
} ec_copy_params;

void ec_copy_strided(const ec_copy_params *p, const int8_t *in, int8_t *out);

#ifdef __cplusplus
}
#endif
#endif
