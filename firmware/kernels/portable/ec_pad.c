/* PAD and PADV2, any element type, portable C. Every byte of the output is written once, in order. */
#include "ec_memory.h"
#include "ec_shape.h"

void ec_pad(const ec_pad_params *p, const int8_t *in, int8_t *out)
{
    const int32_t *n = p->extents, *stride = p->strides;
    int32_t written = 0;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++)
                for (int32_t l = 0; l < n[3]; l++) {
                    const int32_t row = p->offset + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
                    memset(out + written, p->fill, (size_t)(row - written));
                    memcpy(out + row, in, (size_t)p->row_bytes);
                    in += p->row_bytes;
                    written = row + p->row_bytes;
                }
    memset(out + written, p->fill, (size_t)(p->out_bytes - written));
}
