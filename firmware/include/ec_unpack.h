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

/* `n` weights by their codes, one after the other. */
static inline void ec_unpack_each(ec_bits stream, const int8_t *book, int32_t bits, int32_t n, int8_t *to)
{
    EC_ROLLED
    for (int32_t i = 0; i < n; i++)
        to[i] = book[ec_next_bits(&stream, bits)];
}

static inline uint32_t ec_four_bytes(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Four codes, the first one lowest. */
static inline void ec_unpack_four(const int8_t *book, uint32_t codes, int32_t bits, int8_t *to)
{
    const uint32_t mask = (1u << bits) - 1;
    to[0] = book[codes & mask];
    to[1] = book[codes >> bits & mask];
    codes >>= 2 * bits;
    to[2] = book[codes & mask];
    to[3] = book[codes >> bits & mask];
}

/* Eight codes are whole bytes: the first four are lowest in their first word, the last four highest in their last one. */
static inline void ec_unpack_eights(const uint8_t *codes, const int8_t *book, int32_t bits, int32_t eights, int8_t *to)
{
    EC_ROLLED
    for (; eights != 0; eights--, codes += bits, to += 8) {
        uint32_t first, last;
        if (bits >= 4) {
            first = ec_four_bytes(codes);
            last = ec_four_bytes(codes + bits - 4) >> (32 - 4 * bits);
        } else {
            first = codes[0] | (bits > 1 ? (uint32_t)codes[1] << 8 : 0) | (bits > 2 ? (uint32_t)codes[2] << 16 : 0);
            last = first >> 4 * bits;
        }
        ec_unpack_four(book, first, bits, to);
        ec_unpack_four(book, last, bits, to + 4);
    }
}

/* `n` > 0 weights by their codes, from weight `first` of all on. */
EC_OUT_OF_LINE void ec_unpack_codes(const ec_packed_weights *w, const int8_t *book, int32_t first, int32_t n, int8_t *to)
{
    const int32_t bits = w->bits;
    const int32_t before = -first & 7, lead = before < n ? before : n;
    if (lead != 0)
        ec_unpack_each(ec_bits_from(w->codes, first * bits), book, bits, lead, to);
    const int32_t eights = (n - lead) >> 3, done = lead + 8 * eights;
    ec_unpack_eights(w->codes + ((first + lead) >> 3) * bits, book, bits, eights, to + lead);
    if (done != n)
        ec_unpack_each(ec_bits_from(w->codes, (first + done) * bits), book, bits, n - done, to + done);
}

/* `n` > 0 weights of which each four have `kept` values, from four `first` of all on. */
EC_OUT_OF_LINE void ec_unpack_fours(const ec_packed_weights *w, int32_t first, int32_t n, int8_t *to)
{
    const int32_t kept = w->kept;
    const int8_t *value = w->values + first * kept;
    ec_bits stream = ec_bits_from(w->codes, 2 * first * kept);
    EC_ROLLED
    for (; n >= 4; n -= 4, to += 4) {
        to[0] = to[1] = to[2] = to[3] = 0;
        to[ec_next_bits(&stream, 2)] = *value++;
        if (kept == 2)
            to[ec_next_bits(&stream, 2)] = *value++;
    }
    for (int32_t i = 0; i < n; i++)
        to[i] = 0;
    for (int32_t k = 0; n != 0 && k < kept; k++)
        to[ec_next_bits(&stream, 2)] = *value++;
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
