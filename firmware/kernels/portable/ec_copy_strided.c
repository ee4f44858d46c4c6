/* TRANSPOSE and STRIDED_SLICE, any element type, portable C. */
#include "ec_memory.h"
#include "ec_shape.h"

/* The innermost dimension: `count` blocks, `stride` apart. */
static inline void copy_row(const int8_t *in, int32_t stride, int32_t count, int32_t block_bytes, int8_t *out)
{
    if (block_bytes == 1) {
        for (int32_t i = 0; i < count; i++)
            out[i] = in[i * stride];
        return;
    }
    for (int32_t i = 0; i < count; i++)
        memcpy(out + i * block_bytes, in + i * stride, (size_t)block_bytes);
}

void ec_copy_strided(const ec_copy_params *p, const int8_t *in, int8_t *out)
{
    const int32_t *n = p->extents, *stride = p->strides;
    const int8_t *const first = in + p->offset;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++)
                for (int32_t l = 0; l < n[3]; l++) {
                    const int8_t *row = first + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
                    copy_row(row, stride[4], n[4], p->block_bytes, out);
                    out += n[4] * p->block_bytes;
                }
}
