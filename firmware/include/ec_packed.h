/* Layers whose constant weights are stored in fewer bits than eight, and computed from that form: a few filters at a time are unpacked into
 * scratch, then met with all pixels or rows. The generator packs them (edgecompress/codegen/lower/packed_weights.py).
 *
 *   codebook   every weight is a code of 1 to 7 bits, the place of its value in a codebook of the layer or of its filter
 *   N of four  of each four weights of a filter at most N (1 or 2) are not 0: N values, and N places of two bits
 *
 * Codes and places are one stream of bits in the order of the weights, the lowest bit of a byte first; no byte behind the last is read. */
#ifndef EC_PACKED_H
#define EC_PACKED_H

#include "ec_conv.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const int8_t *values;             /* codebooks, or the weights that are kept */
    const uint8_t *codes;
    int32_t bits;                     /* of a code: [1, 7]; 2 for places */
    int32_t book_stride;              /* from one filter's codebook to the next; 0: one for all */
    int32_t kept;                     /* 1 or 2 of each four weights; 0: all, by codebook */
    int32_t filter_len;               /* weights of a filter; 1:4 and 2:4 count fours from its start */
} ec_packed_weights;

/* CONV_2D, also grouped and dilated. */
void ec_conv2d_packed_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const ec_packed_weights *weights,
        const int32_t *bias,          // [out.c], or NULL
        const ec_scale *scales,       // [out.c]
        int8_t *scratch,              // filters of a group, four at most, * filter_len bytes
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* DEPTHWISE_CONV_2D; its weights [filter_h][filter_w][out.c] are packed as one filter. */
void ec_depthwise_conv2d_packed_s8(
        const ec_conv_params *p,
        const int8_t *in,             // [batches][in.h][in.w][in.c]
        const ec_packed_weights *weights,
        const int32_t *bias,          // [out.c], or NULL
        const ec_scale *scales,       // [out.c]
        int8_t *scratch,              // filter_len bytes
        int8_t *out);                 // [batches][out.h][out.w][out.c]

/* Inputs of a dense layer that are met at once. A multiple of four. */
enum { EC_PACKED_INPUTS = 64 };

/* FULLY_CONNECTED, weights of zero point 0. */
void ec_fully_connected_packed_s8(
        const ec_fc_params *p,
        const int8_t *in,             // [batches][in_len]
        const ec_packed_weights *weights,
        const int32_t *bias,          // [out_len], or NULL
        const ec_scale *scales,       // [out_len], or [1]
        int8_t *scratch,              // outputs, four at most, * inputs, EC_PACKED_INPUTS at most, and 16 bytes a row of inputs, 4-byte aligned
        int8_t *out);                 // [batches][out_len]

#ifdef __cplusplus
}
#endif
#endif
