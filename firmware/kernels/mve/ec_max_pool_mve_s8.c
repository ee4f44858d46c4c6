/* MAX_POOL_2D, int8, for MVE: sixteen channels at once. */
#include "ec_mve.h"
#include "ec_mve_sums.h"
#include "ec_window.h"

#if EC_MVE_VECTORS

static void max_of(const int8_t *in, const ec_window *w, const ec_pool_params *p, int8_t *out)
{
    EC_ROLLED
    for (int32_t left = p->out.c; left > 0; left -= 16, in += 16, out += 16) {
        const mve_pred16_t some = vctp8q((uint32_t)left);
        int8x16_t most = vdupq_n_s8((int8_t)p->out_min);
        const int8_t *row = in;
        for (int32_t y = w->rows; y != 0; y--, row += w->row_stride) {
            const int8_t *at = row;
            EC_ROLLED
            for (int32_t x = w->columns; x != 0; x--, at += w->column_stride)
                most = vmaxq_s8(most, vldrbq_z_s8(at, some));
        }
        vstrbq_p_s8(out, vminq_s8(most, vdupq_n_s8((int8_t)p->out_max)), some);
    }
}

#else

static void max_of(const int8_t *in, const ec_window *w, const ec_pool_params *p, int8_t *out)
{
    for (int32_t channel = 0; channel < p->out.c; channel++) {
        int32_t most = p->out_min;
        for (int32_t y = 0; y < w->rows; y++)
            for (int32_t x = 0; x < w->columns; x++) {
                const int32_t value = in[y * w->row_stride + x * w->column_stride + channel];
                most = value > most ? value : most;
            }
        out[channel] = (int8_t)ec_smaller(most, p->out_max);
    }
}

#endif

void ec_max_pool_mve_s8(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                max_of(in + window.offset, &window, p, out);
            }
}
