/* SPLIT and UNPACK, any element type, portable C. */
#include "ec_memory.h"
#include "ec_shape.h"

void ec_split(const int8_t *in, const int32_t *block_bytes, int32_t count, int32_t blocks, int8_t *const out[])
{
    for (int32_t block = 0; block < blocks; block++)
        for (int32_t i = 0; i < count; i++) {
            memcpy(out[i] + block * block_bytes[i], in, (size_t)block_bytes[i]);
            in += block_bytes[i];
        }
}
