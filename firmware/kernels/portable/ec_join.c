/* CONCATENATION and PACK, any element type, portable C. */
#include "ec_memory.h"
#include "ec_shape.h"

void ec_join(const int8_t *const in[], const int32_t *block_bytes, int32_t count, int32_t blocks, int8_t *out)
{
    for (int32_t block = 0; block < blocks; block++)
        for (int32_t i = 0; i < count; i++) {
            memcpy(out, in[i] + block * block_bytes[i], (size_t)block_bytes[i]);
            out += block_bytes[i];
        }
}
