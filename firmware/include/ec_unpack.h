/* Packed weights (ec_packed.h) back to int8. */
#ifndef EC_UNPACK_H
#define EC_UNPACK_H

#include "ec_packed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A stream of bits: `held` has `count` of them, the next one lowest. */
typedef struct {
    const uint8_t *at;
    uint32_t held;
    int32_t count;
} ec_bits;

static inline ec_bits ec_bits_from(const uint8_t *codes, int32_t first)
{
    const ec_bits stream = { codes + (first >> 3) + 1, (uint32_t)codes[first >> 3] >> (first & 7), 8 - (first & 7) };
    return stream;
}

/* The next code, of up to 8 bits; a byte is read when it is needed, so never one behind the last. */
static inline uint32_t ec_next_bits(ec_bits *stream, int32_t bits)
{
    if (stream->count < bits) {
        stream->held |= (uint32_t)*stream->at++ << stream->count;
        stream->count += 8;
    }
    const uint32_t code = stream->held & ((1u << bits) - 1);
    stream->held >>= bits;
    stream->count -= bits;
    return code;
}

/* `n` > 0 weights by their codes, from weight `first` of all on. */
EC_OUT_OF_LINE void ec_unpack_codes(const ec_packed_weights *w, const int8_t *book, int32_t first, int32_t n, int8_t *to)
{
    const int32_t bits = w->bits;
    if (bits == 4 && ((first | n) & 1) == 0) {
        /* Whole bytes, of two codes each. */
        const uint8_t *codes = w->codes + (first >> 1);
        EC_ROLLED
        for (const int8_t *const end = to + n; to != end; to += 2, codes++) {
            const uint32_t two = *codes;
            to[0] = book[two & 15];
            to[1] = book[two >> 4];
        }
        return;
    }
    ec_bits stream = ec_bits_from(w->codes, first * bits);
    EC_ROLLED
    for (int32_t i = 0; i < n; i++)
        to[i] = book[ec_next_bits(&stream, bits)];
}

/* `n` > 0 weights of which each four have `kept` values, from four `first` of all on. */
EC_OUT_OF_LINE void ec_unpack_fours(const ec_packed_weights *w, int32_t first, int32_t n, int8_t *to)
{
    const int32_t kept = w->kept;
    const int8_t *value = w->values + first * kept;
    ec_bits stream = ec_bits_from(w->codes, 2 * first * kept);
    EC_ROLLED
    for (int32_t i = 0; i < n; i++)
        to[i] = 0;
    EC_ROLLED
    for (int32_t i = 0; i < n; i += 4)
        for (int32_t k = 0; k < kept; k++)
            to[i + (int32_t)ec_next_bits(&stream, 2)] = *value++;
}

/* Weights [first, first + n) of a filter, n > 0 and `first` a multiple of four. */
static inline void ec_unpack(const ec_packed_weights *w, int32_t filter, int32_t first, int32_t n, int8_t *to)
{
    if (w->kept != 0)
        ec_unpack_fours(w, filter * ((w->filter_len + 3) >> 2) + (first >> 2), n, to);
    else
        ec_unpack_codes(w, w->values + filter * w->book_stride, filter * w->filter_len + first, n, to);
}

#ifdef __cplusplus
}
#endif
#endif
