/* MAX_POOL_2D, int8, portable C.
 * This plain loop defines what is correct; the versions in dsp/ and mve/ match it bit for bit. */
#include "ec_pool.h"
#include "ec_requantize.h"
#include "ec_window.h"

static inline int32_t max_of(const int8_t *in, const ec_window *w)
{
    int32_t max = INT8_MIN;
    for (int32_t y = 0; y < w->rows; y++, in += w->row_stride)
        for (int32_t x = 0; x < w->columns; x++) {
            const int32_t pixel = in[x * w->column_stride];
            max = pixel > max ? pixel : max;
        }
    return max;
}

void ec_max_pool_s8(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                for (int32_t c = 0; c < p->out.c; c++)
                    out[c] = (int8_t)ec_clamp(max_of(in + window.offset + c, &window), p->out_min, p->out_max);
            }
}
