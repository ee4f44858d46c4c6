/* AVERAGE_POOL_2D, int8, for application processors: sixteen channels at once, in loops of fixed length that compilers turn into vectors. */
#include "ec_requantize.h"
#include "ec_wide.h"
#include "ec_wide_level.h"
#include "ec_window.h"

#define MOST 16

EC_WIDE_INLINE void add_up(const int8_t *in, const ec_window *w, const int32_t channels, int32_t *sums)
{
    for (int32_t c = 0; c < channels; c++)
        sums[c] = 0;
    for (int32_t y = 0; y < w->rows; y++, in += w->row_stride) {
        const int8_t *at = in;
        for (int32_t x = 0; x < w->columns; x++, at += w->column_stride)
            for (int32_t c = 0; c < channels; c++)
                sums[c] += at[c];
    }
}

EC_WIDE_INLINE void average(const int8_t *in, const ec_window *w, const ec_pool_params *p, int8_t *out)
{
    const int32_t count = w->rows * w->columns;
    int32_t sums[MOST], channels;
    for (int32_t first = 0; first < p->out.c; first += channels) {
        if (p->out.c - first >= MOST) {
            channels = MOST;
            add_up(in + first, w, MOST, sums);
        } else {
            channels = 1;
            add_up(in + first, w, 1, sums);
        }
        for (int32_t c = 0; c < channels; c++) {
            const int32_t half = sums[c] > 0 ? count / 2 : -(count / 2);
            out[first + c] = (int8_t)ec_clamp((sums[c] + half) / count, p->out_min, p->out_max);
        }
    }
}

EC_WIDE_INLINE void average_all(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                average(in + window.offset, &window, p, out);
            }
}

#if EC_WIDE_X86
EC_AVX2 static void average_avx2(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
    average_all(p, in, out);
}
#endif

void ec_average_pool_wide_s8(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
#if EC_WIDE_X86
    if (ec_wide_level() != EC_WIDE_PLAIN) {
        average_avx2(p, in, out);
        return;
    }
#endif
    average_all(p, in, out);
}
