/* MAX_POOL_2D, int8, portable C. Channels are the inner loop: they lie side by side.
 * This plain loop defines what is correct. */
#include "ec_pool.h"
#include "ec_window.h"

static inline void raise_to(const int8_t *in, int32_t count, int8_t *out)
{
    for (int32_t c = 0; c < count; c++)
        out[c] = in[c] > out[c] ? in[c] : out[c];
}

static inline void fill(int32_t value, int32_t count, int8_t *out)
{
    for (int32_t c = 0; c < count; c++)
        out[c] = (int8_t)value;
}

static inline void lower_to(int32_t most, int32_t count, int8_t *out)
{
    for (int32_t c = 0; c < count; c++)
        out[c] = (int8_t)ec_smaller(out[c], most);
}

static inline void max_of(const int8_t *in, const ec_window *w, const ec_pool_params *p, int8_t *out)
{
    fill(p->out_min, p->out.c, out);
    for (int32_t y = 0; y < w->rows; y++, in += w->row_stride)
        for (int32_t x = 0; x < w->columns; x++)
            raise_to(in + x * w->column_stride, p->out.c, out);
    if (p->out_max < INT8_MAX)
        lower_to(p->out_max, p->out.c, out);
}

void ec_max_pool_s8(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                max_of(in + window.offset, &window, p, out);
            }
}
