/* AVERAGE_POOL_2D, int8, portable C.
 *   out = clamp((sum of what the window sees) / (how many that are), halves away from zero)
 * This plain loop defines what is correct. */
#include "ec_pool.h"
#include "ec_requantize.h"
#include "ec_window.h"

/* Channels lie side by side: four sums at a time stay in registers. */
#define CHANNELS 4

static inline int32_t divide_rounded(int32_t sum, int32_t count)
{
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

static inline void add_up_four(const int8_t *in, const ec_window *w, int32_t *sums)
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
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

static inline int32_t add_up_one(const int8_t *in, const ec_window *w)
{
    int32_t sum = 0;
    for (int32_t y = 0; y < w->rows; y++, in += w->row_stride)
        for (int32_t x = 0; x < w->columns; x++)
            sum += in[x * w->column_stride];
    return sum;
}

static inline void average(const int8_t *in, const ec_window *w, const ec_pool_params *p, int8_t *out)
{
    const int32_t count = w->rows * w->columns;
    int32_t sums[CHANNELS];
    int32_t channels;
    for (int32_t first = 0; first < p->out.c; first += channels) {
        channels = p->out.c - first < CHANNELS ? 1 : CHANNELS;
        if (channels == CHANNELS)
            add_up_four(in + first, w, sums);
        else
            sums[0] = add_up_one(in + first, w);
        for (int32_t c = 0; c < channels; c++)
            out[first + c] = (int8_t)ec_clamp(divide_rounded(sums[c], count), p->out_min, p->out_max);
    }
}

void ec_average_pool_s8(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                average(in + window.offset, &window, p, out);
            }
}
