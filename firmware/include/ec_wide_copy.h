/* Windows as contiguous bytes. */
#ifndef EC_WIDE_COPY_H
#define EC_WIDE_COPY_H

#include "ec_wide_level.h"

/* Compilers turn a copy of a fixed size into one load and one store. */
EC_WIDE_INLINE void ec_copy_16(int8_t *to, const int8_t *from)
{
    __builtin_memcpy(to, from, 16);
}

EC_WIDE_INLINE void ec_copy_8(int8_t *to, const int8_t *from)
{
    __builtin_memcpy(to, from, 8);
}

EC_WIDE_INLINE void ec_copy_4(int8_t *to, const int8_t *from)
{
    __builtin_memcpy(to, from, 4);
}

/* Copies `bytes`, the last vector of which may overlap the one before; returns the end. */
EC_WIDE_INLINE int8_t *ec_wide_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    int8_t *const end = to + bytes;
    if (bytes >= 16) {
        for (; bytes > 16; bytes -= 16, to += 16, from += 16)
            ec_copy_16(to, from);
        ec_copy_16(end - 16, from + bytes - 16);
    } else if (bytes >= 8) {
        ec_copy_8(to, from);
        ec_copy_8(end - 8, from + bytes - 8);
    } else if (bytes >= 4) {
        ec_copy_4(to, from);
        ec_copy_4(end - 4, from + bytes - 4);
    } else {
        for (int32_t i = 0; i < bytes; i++)
            to[i] = from[i];
    }
    return end;
}

EC_WIDE_INLINE int8_t *ec_wide_fill(int8_t *to, int8_t value, int32_t bytes)
{
    for (int32_t i = 0; i < bytes; i++)
        to[i] = value;
    return to + bytes;
}

/* Zeros up to a whole step behind a window of `bytes` bytes that ends at `to`; the weights there are zeros as well. */
EC_WIDE_INLINE void ec_wide_window_end(int8_t *to, int32_t bytes)
{
    ec_wide_fill(to, 0, -bytes & 3);
}

#endif
