/* RESIZE_NEAREST_NEIGHBOR, any element type, portable C. */
#include "ec_memory.h"
#include "ec_resize.h"

void ec_resize_nearest(const ec_resize_nearest_params *p, const int8_t *in, int8_t *out)
{
    const int32_t row_bytes = p->in_w * p->pixel_bytes;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in_h * row_bytes)
        for (int32_t y = 0; y < p->out_h; y++) {
            const int8_t *row = in + p->rows[y] * row_bytes;
            for (int32_t x = 0; x < p->out_w; x++, out += p->pixel_bytes)
                memcpy(out, row + p->columns[x] * p->pixel_bytes, (size_t)p->pixel_bytes);
        }
}
