/* Dense layer, int8, for MVE: four outputs at once, weights in the order of the convolution's. */
#include "ec_mve.h"
#include "ec_mve_sums.h"

#if EC_MVE_VECTORS

typedef struct {
    int32_t a, b, c, d;
} sums;

/* Four filters against one input. */
static inline sums sum_four(const int8_t *x, const int8_t *weights, int32_t tail, int32_t blocks)
{
    sums s = { 0, 0, 0, 0 };
    if (tail != 0) {
        const mve_pred16_t some = vctp8q((uint32_t)tail);
        const int8x16_t first = vldrbq_z_s8(x, some);
        s.a = vmladavq_s8(first, vldrbq_z_s8(weights, some));
        s.b = vmladavq_s8(first, vldrbq_z_s8(weights + tail, some));
        s.c = vmladavq_s8(first, vldrbq_z_s8(weights + 2 * tail, some));
        s.d = vmladavq_s8(first, vldrbq_z_s8(weights + 3 * tail, some));
        x += tail;
        weights += 4 * tail;
    }
    EC_ROLLED
    for (; blocks != 0; blocks--, x += 16, weights += 64) {
        const int8x16_t next = vldrbq_s8(x);
        s.a = vmladavaq_s8(s.a, next, vldrbq_s8(weights));
        s.b = vmladavaq_s8(s.b, next, vldrbq_s8(weights + 16));
        s.c = vmladavaq_s8(s.c, next, vldrbq_s8(weights + 32));
        s.d = vmladavaq_s8(s.d, next, vldrbq_s8(weights + 48));
    }
    return s;
}

static void multiply(const ec_fc_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    const int32_t tail = p->in_len & 15, blocks = p->in_len >> 4;
    const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 8), (uint32_t)p->scale_stride);
    EC_ROLLED
    for (int32_t left = p->out_len; left > 0; left -= 4) {
        const sums s = sum_four(in, weights, tail, blocks);
        const mve_pred16_t some = vctp32q((uint32_t)left);
        int32x4_t v = vsetq_lane_s32(s.a, vdupq_n_s32(0), 0);
        v = vsetq_lane_s32(s.b, v, 1);
        v = vsetq_lane_s32(s.c, v, 2);
        v = vsetq_lane_s32(s.d, v, 3);
        v = vaddq_s32(v, vldrwq_z_s32(bias, some));
        v = vqrdmulhq_s32(v, vldrwq_gather_offset_z_s32(&scales->multiplier, places, some));
        v = vaddq_s32(v, vshrq_n_s32(v, 31));
        v = vrshlq_s32(v, vldrwq_gather_offset_z_s32(&scales->shift, places, some));
        v = vaddq_n_s32(v, p->out_zero_point);
        v = vminq_s32(vmaxq_s32(v, vdupq_n_s32(p->out_min)), vdupq_n_s32(p->out_max));
        vstrbq_p_s32(out, v, some);
        weights += 4 * p->in_len;
        bias += 4;
        scales += 4 * p->scale_stride;
        out += 4;
    }
}

#else

static void multiply(const ec_fc_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    const int32_t tail = p->in_len & 15;
    for (int32_t o = 0; o < p->out_len; o++) {
        const int8_t *four = weights + (o & ~3) * p->in_len;
        int32_t sum = bias[o];
        for (int32_t k = 0; k < tail; k++)
            sum += in[k] * four[(o & 3) * tail + k];
        for (int32_t k = tail; k < p->in_len; k++)
            sum += in[k] * four[4 * tail + (k - tail) / 16 * 64 + (o & 3) * 16 + (k - tail) % 16];
        out[o] = ec_requantize(sum, scales[o * p->scale_stride], p->out_zero_point, p->out_min, p->out_max);
    }
}

#endif

void ec_fully_connected_mve_s8(
        const ec_fc_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias, const ec_scale *scales, int8_t *out)
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len, out += p->out_len)
        multiply(p, in, weights, bias, scales, out);
}
