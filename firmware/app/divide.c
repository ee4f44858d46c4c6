#include "divide.h"

/* Schoolbook division, a bit at a time: 64 short rounds. `rest` < divisor before each round, so it needs 33 bits in it. */
uint64_t ec_divide(uint64_t value, uint32_t divisor, uint32_t *remainder)
{
    uint64_t rest = 0;
    for (int bit = 0; bit < 64; bit++) {
        rest = rest << 1 | value >> 63;
        value <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            value |= 1;
        }
    }
    *remainder = (uint32_t)rest;
    return value;
}
