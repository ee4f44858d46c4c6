/* 2D convolution, int8, for MVE: pairs of pixels against fours of filters.
 *
 * VMLADAVA.S8 adds 16 products to a core register. The eight even ones hold sums, so that six vectors are loaded for 8 * 16 products. A window
 * must be contiguous for that: column x of a row of outputs is [filter_h][in.c] bytes in scratch, a window is filter_w columns, and the weights
 * are ordered (filter_w, filter_h, in.c). Each input byte is copied once for a row of outputs, padding included. */
#include "ec_mve.h"
#include "ec_mve_pixels.h"

/* Fewer channels than this are moved by scattering stores, eight bytes at a time. */
#define NARROW 8

/* What is copied for each row of outputs, and where to. */
typedef struct {
    const ec_conv_params *p;
    uint16_t *places;                 /* [8 * in.c] if in.c < NARROW: where the bytes of eight columns go */
    int8_t *columns;                  /* [(out.w - 1) * stride_w + filter_w][filter_h][in.c] */
    int8_t *start;                    /* of the columns; there are two sets if out.w is odd, for the pixel that waits for the next row */
    int32_t columns_bytes;            /* from one set to the other, or 0 */
    int32_t column_bytes, column_count;
    int32_t inside;                   /* columns from pad_left on that are in the image */
} layer;

/* Whether windows are contiguous in the input. */
static bool is_direct(const ec_conv_params *p)
{
    return p->filter_h == 1 && p->pad_left == 0 && (p->out.w - 1) * p->stride_w + p->filter_w <= p->in.w;
}

static layer describe(const ec_conv_params *p, int8_t *scratch)
{
    const int32_t count = (p->out.w - 1) * p->stride_w + p->filter_w;
    const int32_t room = count - p->pad_left;
    layer l;
    l.p = p;
    l.places = (uint16_t *)(void *)scratch;
    l.start = scratch + (p->in.c < NARROW ? 16 * p->in.c : 0);
    l.columns = l.start;
    l.column_bytes = p->filter_h * p->in.c;
    l.column_count = count;
    l.columns_bytes = (p->out.w & 1) != 0 ? count * l.column_bytes : 0;
    l.inside = room < p->in.w ? room : p->in.w;
    return l;
}

static void fill_bytes(int8_t *to, int32_t count, int32_t value)
{
    EC_ROLLED
    for (; count != 0; count--)
        *to++ = (int8_t)value;
}

/* Padding everywhere, and the table of places. */
static void fill_scratch(const layer *l)
{
    const int32_t c = l->p->in.c;
    fill_bytes(l->start, l->columns_bytes + l->column_count * l->column_bytes, l->p->in_zero_point);
    if (c >= NARROW)
        return;
    uint16_t *place = l->places;
    for (int32_t column = 0; column < 8; column++)
        for (int32_t i = 0; i < c; i++)
            *place++ = (uint16_t)(column * l->column_bytes + i);
}

#if EC_MVE_VECTORS

static void copy_wide(const layer *l, const int8_t *from, int8_t *to)
{
    for (int32_t n = l->inside; n > 0; n--, to += l->column_bytes, from += l->p->in.c) {
        const int8_t *part = from;
        int8_t *column = to;
        for (int32_t left = l->p->in.c; left > 0; left -= 16, part += 16, column += 16) {
            const mve_pred16_t some = vctp8q((uint32_t)left);
            vstrbq_p_s8(column, vldrbq_z_s8(part, some), some);
        }
    }
}

/* Eight columns at a time. The inner loop ends by the count of its VCTP alone: clang 22 makes it a predicated loop of the hardware, and drops
 * any other condition on the way. */
static void copy_narrow(const layer *l, const int8_t *from, int8_t *to)
{
    const int32_t period = 8 * l->p->in.c;
    for (int32_t left = l->inside * l->p->in.c; left > 0; left -= period, to += 8 * l->column_bytes) {
        const uint16_t *place = l->places;
        for (int32_t n = left < period ? left : period; n > 0; n -= 8, from += 8, place += 8) {
            const mve_pred16_t some = vctp16q((uint32_t)n);
            vstrbq_scatter_offset_p_s16(to, vldrhq_u16(place), vldrbq_z_s16(from, some), some);
        }
    }
}

#else

static void copy_wide(const layer *l, const int8_t *from, int8_t *to)
{
    for (int32_t n = l->inside; n > 0; n--, to += l->column_bytes)
        for (int32_t i = 0; i < l->p->in.c; i++)
            to[i] = *from++;
}

static void copy_narrow(const layer *l, const int8_t *from, int8_t *to)
{
    const int32_t period = 8 * l->p->in.c, count = l->inside * l->p->in.c;
    for (int32_t i = 0; i < count; i++)
        to[i / period * 8 * l->column_bytes + l->places[i % period]] = from[i];
}

#endif

/* The columns under a row of outputs whose windows start at input row `top`. What is left or right of the image stays as it is. */
static void copy_rows(const layer *l, const int8_t *image, int32_t top)
{
    const ec_conv_params *p = l->p;
    int8_t *to = l->columns + p->pad_left * l->column_bytes;
    for (int32_t n = p->filter_h, y = top; n != 0; n--, y += p->dilation_h, to += p->in.c) {
        if (y < 0 || y >= p->in.h) {
            for (int32_t x = 0; x < l->inside; x++)
                fill_bytes(to + x * l->column_bytes, p->in.c, p->in_zero_point);
        } else if (p->in.c < NARROW) {
            copy_narrow(l, image + y * p->in.w * p->in.c, to);
        } else {
            copy_wide(l, image + y * p->in.w * p->in.c, to);
        }
    }
}

void ec_conv2d_mve_s8(
        const ec_conv_params *p, const int8_t *in, const int8_t *weights, const ec_channel_data *data, int8_t *scratch, int8_t *out)
{
    const ec_mve_length length = ec_mve_length_of(p->filter_h * p->filter_w * p->in.c);
    ec_mve_four *const fours = (ec_mve_four *)(void *)scratch;
    ec_mve_fill_fours(fours, data, p->out.c);
    const bool direct = is_direct(p);
    const ec_mve_filters filters = {
        .job = ec_mve_job_of(length, p->out_zero_point, p->out_min, p->out_max),
        .weights = weights,
        .fours = fours,
        .filters = p->out.c,
        .pixel_bytes = p->stride_w * p->filter_h * p->in.c,
        .out_bytes = p->out.c,
    };
    const int32_t rows = p->batches * p->out.h;
    ec_mve_waiting waiting = { NULL, NULL };
    if (direct && p->filter_w == 1 && p->stride_h == 1 && p->stride_w == 1) {
        ec_mve_sum_run(&filters, &waiting, in, rows * p->out.w, out);
        ec_mve_sum_waiting(&filters, &waiting);
        return;
    }
    layer l = describe(p, (int8_t *)(fours + ((p->out.c + 3) >> 2)));
    if (!direct)
        fill_scratch(&l);
    for (int32_t row = 0, y = 0, top = -p->pad_top; row < rows; row++, out += p->out.w * p->out.c) {
        if (!direct)
            copy_rows(&l, in, top);
        ec_mve_sum_run(&filters, &waiting, direct ? in + top * p->in.w * p->in.c : l.columns, p->out.w, out);
        l.columns = l.start + (l.start + l.columns_bytes - l.columns);
        top += p->stride_h;
        if (++y == p->out.h) {
            y = 0;
            top = -p->pad_top;
            in += p->in.h * p->in.w * p->in.c;
        }
    }
    ec_mve_sum_waiting(&filters, &waiting);
}
