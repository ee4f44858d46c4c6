/* Any op that maps one 8-bit count to another, portable C. */
#include "ec_activation.h"

void ec_lookup_s8(const int8_t *in, const int8_t *table, int32_t count, int8_t *out)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = table[(uint8_t)in[i]];
}
