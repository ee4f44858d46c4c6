/* AVERAGE_POOL_2D, int8, for MVE: eight channels at once. Windows of up to 256 pixels keep their sums within int16. */
#include "ec_mve.h"
#include "ec_mve_sums.h"
#include "ec_requantize.h"
#include "ec_window.h"

#if EC_MVE_VECTORS

/* sum / count, halves away from zero, for counts above 1. n * reciprocal / 2^32 is floor(n / count) for n * count < 2^32, where reciprocal is
 * 2^32 / count, rounded up. */
static inline int32x4_t divide_rounded(int32x4_t sum, uint32_t half, uint32_t reciprocal)
{
    const uint32x4_t n = vaddq_n_u32(vreinterpretq_u32_s32(vabsq_s32(sum)), half);
    const int32x4_t quotient = vreinterpretq_s32_u32(vmulhq_u32(n, vdupq_n_u32(reciprocal)));
    return vnegq_m_s32(quotient, quotient, vcmpltq_n_s32(sum, 0));
}

static inline int16x8_t add_up(const int8_t *in, const ec_window *w, mve_pred16_t some)
{
    int16x8_t sums = vdupq_n_s16(0);
    for (int32_t y = w->rows; y != 0; y--, in += w->row_stride) {
        const int8_t *at = in;
        EC_ROLLED
        for (int32_t x = w->columns; x != 0; x--, at += w->column_stride)
            sums = vaddq_s16(sums, vldrbq_z_s16(at, some));
    }
    return sums;
}

static void average(const int8_t *in, const ec_window *w, const ec_pool_params *p, int8_t *out)
{
    const uint32_t count = (uint32_t)(w->rows * w->columns), reciprocal = 0xffffffffu / count + 1;
    EC_ROLLED
    for (int32_t left = p->out.c; left > 0; left -= 8, in += 8, out += 8) {
        const mve_pred16_t some = vctp16q((uint32_t)left);
        int16x8_t sums = add_up(in, w, some);
        if (count > 1) {
            const int32x4_t even = divide_rounded(vmovlbq_s16(sums), count / 2, reciprocal);
            const int32x4_t odd = divide_rounded(vmovltq_s16(sums), count / 2, reciprocal);
            sums = vmovntq_s32(vmovnbq_s32(sums, even), odd);
        }
        sums = vmaxq_s16(sums, vdupq_n_s16((int16_t)p->out_min));
        sums = vminq_s16(sums, vdupq_n_s16((int16_t)p->out_max));
        vstrbq_p_s16(out, sums, some);
    }
}

#else

static void average(const int8_t *in, const ec_window *w, const ec_pool_params *p, int8_t *out)
{
    const int32_t count = w->rows * w->columns;
    for (int32_t channel = 0; channel < p->out.c; channel++) {
        int32_t sum = 0;
        for (int32_t y = 0; y < w->rows; y++)
            for (int32_t x = 0; x < w->columns; x++)
                sum += in[y * w->row_stride + x * w->column_stride + channel];
        out[channel] = (int8_t)ec_clamp((sum > 0 ? sum + count / 2 : sum - count / 2) / count, p->out_min, p->out_max);
    }
}

#endif

void ec_average_pool_mve_s8(const ec_pool_params *p, const int8_t *in, int8_t *out)
{
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * p->in.w * p->in.c)
        for (int32_t y = 0; y < p->out.h; y++)
            for (int32_t x = 0; x < p->out.w; x++, out += p->out.c) {
                const ec_window window = ec_window_at(p, y, x);
                average(in + window.offset, &window, p, out);
            }
}
