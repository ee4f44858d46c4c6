/* MAX_POOL_2D, int16, portable C. Channels are the inner loop: they lie side by side.
 * This plain loop defines what is correct. */
#include "ec_pool.h"
#include "ec_requantize.h"
#include "ec_window.h"

static void max_of(const int16_t *in, const ec_window *w, const ec_pool_params *p, int16_t *out)
{
    for (int32_t c = 0; c < p->out.c; c++)
        out[c] = (int16_t)p->out_min;
    for (int32_t y = 0; y < w->rows; y++, in += w->row_stride)
        for (int32_t x = 0; x < w->columns; x++) {
            const int16_t *pixel = in + x * w->column_stride;
            for (int32_t c = 0; c < p->out.c; c++)
                out[c] = pixel[c] > out[c] ? pixel[c] : out[c];
        }
    for (int32_t c = 0; c < p->out.c; c++)
        out[c] = (int16_t)ec_smaller(out[c], p->out_max);
}

void ec_max_pool_s16(const ec_pool_params *p, const int16_t *in, int16_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                max_of(in + window.offset, &window, p, out);
            }
}
