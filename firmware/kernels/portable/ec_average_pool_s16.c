/* AVERAGE_POOL_2D, int16, portable C.
 *   out = clamp((sum of what the window sees) / (how many that are), halves away from zero)
 * This plain loop defines what is correct. */
#include "ec_pool.h"
#include "ec_requantize.h"
#include "ec_window.h"

static int32_t add_up(const int16_t *in, const ec_window *w)
{
    int32_t sum = 0;
    for (int32_t y = 0; y < w->rows; y++, in += w->row_stride)
        for (int32_t x = 0; x < w->columns; x++)
            sum += in[x * w->column_stride];
    return sum;
}

void ec_average_pool_s16(const ec_pool_params *p, const int16_t *in, int16_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                const int32_t count = window.rows * window.columns;
                for (int32_t c = 0; c < p->out.c; c++) {
                    const int32_t sum = add_up(in + window.offset + c, &window);
                    out[c] = (int16_t)ec_clamp((sum > 0 ? sum + count / 2 : sum - count / 2) / count, p->out_min, p->out_max);
                }
            }
}
