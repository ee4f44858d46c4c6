/* Dense layer, int8, from packed weights, portable C: what ec_fully_connected_s8 computes. A strip of inputs meets four outputs at a time, for
 * all rows, so that every weight is unpacked once and scratch stays small. */
#include "ec_dot.h"
#include "ec_requantize.h"
#include "ec_unpack.h"

/* acc[row] += a strip of inputs times `count` (4 or 1) outputs' weights. */
static void add_strip(const ec_fc_params *p, const int8_t *in, const int8_t *strip, int32_t n, int32_t count, int32_t (*acc)[4])
{
    for (int32_t b = 0; b < p->batches; b++, in += p->in_len) {
        if (count == 4)
            ec_dot4(in, strip, n, p->in_zero_point, n, acc[b]);
        else
            acc[b][0] += ec_dot(in, strip, n, p->in_zero_point);
    }
}

void ec_fully_connected_packed_s8(
        const ec_fc_params *p, const int8_t *in, const ec_packed_weights *weights, const int32_t *bias, const ec_scale *scales,
        int8_t *scratch, int8_t *out)
{
    const ec_output output = { p->out_zero_point, p->out_min, p->out_max };
    int32_t(*const acc)[4] = (int32_t(*)[4])(void *)scratch;
    int8_t *const strip = scratch + 16 * p->batches;
    for (int32_t o = 0, count; o < p->out_len; o += count) {
        count = p->out_len - o >= 4 ? 4 : 1;
        for (int32_t b = 0; b < p->batches; b++)
            acc[b][0] = acc[b][1] = acc[b][2] = acc[b][3] = 0;
        for (int32_t i = 0, n; i < p->in_len; i += n) {
            n = p->in_len - i < EC_PACKED_INPUTS ? p->in_len - i : EC_PACKED_INPUTS;
            for (int32_t f = 0; f < count; f++)
                ec_unpack(weights, o + f, i, n, strip + f * n);
            add_strip(p, in + i, strip, n, count, acc);
        }
        for (int32_t b = 0; b < p->batches; b++)
            ec_requantize_all(
                    acc[b], bias ? bias + o : NULL, scales + o * p->scale_stride, p->scale_stride, output, count, out + b * p->out_len + o);
    }
}
