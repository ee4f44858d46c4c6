/* RESIZE_BILINEAR, int8, portable C.
 * This plain loop defines what is correct. */
#include "ec_resize.h"

#define UNIT 1024

/* The two pixels next to a position, and the weight of the second; the first has the rest of UNIT. */
typedef struct {
    int32_t before, after;
    int32_t weight;
} tap;

static inline tap tap_at(ec_bilinear_axis axis, int32_t index, int32_t in_size)
{
    const int32_t position = index * axis.step + axis.start;
    const int32_t before = position > 0 ? position / UNIT : 0;
    /* A position is at least -512, so that the sum is not negative. */
    const int32_t after = (position + UNIT - 1) / UNIT;
    const tap result = {before, after < in_size ? after : in_size - 1, position - before * UNIT};
    return result;
}

static inline int32_t blend(int32_t a, int32_t b, int32_t weight)
{
    return a * (UNIT - weight) + b * weight;
}

void ec_resize_bilinear_s8(const ec_resize_bilinear_params *p, const int8_t *in, int8_t *out)
{
    const int32_t c = p->in.c, row = p->in.w * c, half = UNIT * UNIT / 2;
    for (int32_t batch = 0; batch < p->batches; batch++, in += p->in.h * row)
        for (int32_t y = 0; y < p->out.h; y++) {
            const tap v = tap_at(p->rows, y, p->in.h);
            for (int32_t x = 0; x < p->out.w; x++, out += c) {
                const tap h = tap_at(p->columns, x, p->in.w);
                const int8_t *upper_left = in + v.before * row + h.before * c, *upper_right = in + v.before * row + h.after * c;
                const int8_t *lower_left = in + v.after * row + h.before * c, *lower_right = in + v.after * row + h.after * c;
                for (int32_t i = 0; i < c; i++) {
                    const int32_t upper = blend(upper_left[i], upper_right[i], h.weight);
                    const int32_t lower = blend(lower_left[i], lower_right[i], h.weight);
                    const int32_t sum = blend(upper, lower, v.weight);
                    out[i] = (int8_t)((sum > 0 ? sum + half : sum - half) / (UNIT * UNIT));
                }
            }
        }
}
