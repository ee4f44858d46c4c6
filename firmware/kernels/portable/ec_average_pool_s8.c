/* AVERAGE_POOL_2D, int8, portable C.
 *   out = clamp((sum of what the window sees) / (how many that are), halves away from zero)
 * This plain loop defines what is correct; the versions in dsp/ and mve/ match it bit for bit. */
#include "ec_pool.h"
#include "ec_requantize.h"
#include "ec_window.h"

/* Channels lie side by side: four sums at a time stay in registers. */
#define CHANNELS 4

static inline int8_t average(int32_t sum, const ec_window *w, const ec_pool_params *p)
{
    const int32_t count = w->rows * w->columns;
    return (int8_t)ec_clamp((sum > 0 ? sum + count / 2 : sum - count / 2) / count, p->out_min, p->out_max);
}

static inline void average_channels(const int8_t *in, const ec_window *w, const ec_pool_params *p, int8_t *out)
{
    int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    for (int32_t y = 0; y < w->rows; y++, in += w->row_stride) {
        const int8_t *at = in;
        for (int32_t x = 0; x < w->columns; x++, at += w->column_stride) {
            sum0 += at[0];
            sum1 += at[1];
            sum2 += at[2];
            sum3 += at[3];
        }
    }
    out[0] = average(sum0, w, p);
    out[1] = average(sum1, w, p);
    out[2] = average(sum2, w, p);
    out[3] = average(sum3, w, p);
}

static inline int8_t average_channel(const int8_t *in, const ec_window *w, const ec_pool_params *p)
{
    int32_t sum = 0;
    for (int32_t y = 0; y < w->rows; y++, in += w->row_stride)
        for (int32_t x = 0; x < w->columns; x++)
            sum += in[x * w->column_stride];
    return average(sum, w, p);
}

void ec_average_pool_s8(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                int32_t c = 0;
                for (; c + CHANNELS <= p->out.c; c += CHANNELS)
                    average_channels(in + window.offset + c, &window, p, out + c);
                for (; c < p->out.c; c++)
                    out[c] = average_channel(in + window.offset + c, &window, p);
            }
}
