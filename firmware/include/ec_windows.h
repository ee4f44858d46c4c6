/* The windows of a convolution, one output pixel after the other, and which of their taps lie inside the image. */
#ifndef EC_WINDOWS_H
#define EC_WINDOWS_H

#include "ec_conv.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Contiguous bytes of the input that a filter meets: a whole row of taps, or single taps where it is grouped or dilated. */
typedef struct {
    int32_t count;                    /* in a row of taps */
    int32_t len;
    int32_t stride, row_stride;       /* bytes of the input, between runs and between rows of taps */
} ec_runs;

static inline ec_runs ec_runs_of(const ec_conv_params *p)
{
    const bool whole = p->filter_c == p->in.c && p->dilation_w == 1;
    ec_runs runs;
    runs.count = whole ? 1 : p->filter_w;
    runs.len = whole ? p->filter_w * p->filter_c : p->filter_c;
    runs.stride = p->dilation_w * p->in.c;
    runs.row_stride = p->dilation_h * p->in.w * p->in.c;
    return runs;
}

/* Where the window of an output pixel lies. */
typedef struct {
    const int8_t *at;                 /* its first tap; outside the image where it is padded */
    int32_t y, x;                     /* of its first tap */
    bool rows_inside, sides_inside;   /* nothing is padded above and below; left and right */
} ec_place;

/* All windows in the order of the output. */
typedef struct {
    const ec_conv_params *p;
    ec_place next;
    int32_t columns, rows;            /* left in this row of outputs and in this image, the next one included */
    const int8_t *image;
} ec_places;

static inline void ec_start_row(ec_places *c)
{
    const ec_conv_params *p = c->p;
    c->columns = p->out.w;
    c->next.x = -p->pad_left;
    c->next.at = c->image + (c->next.y * p->in.w - p->pad_left) * p->in.c;
    c->next.rows_inside = c->next.y >= 0 && c->next.y + (p->filter_h - 1) * p->dilation_h < p->in.h;
}

static inline void ec_start_image(ec_places *c)
{
    c->rows = c->p->out.h;
    c->next.y = -c->p->pad_top;
    ec_start_row(c);
}

static inline ec_places ec_first_place(const ec_conv_params *p, const int8_t *in)
{
    ec_places c;
    c.p = p;
    c.image = in;
    ec_start_image(&c);
    return c;
}

EC_OUT_OF_LINE ec_place ec_next_place(ec_places *c)
{
    const ec_conv_params *p = c->p;
    ec_place place = c->next;
    place.sides_inside = place.x >= 0 && place.x + (p->filter_w - 1) * p->dilation_w < p->in.w;
    c->next.x += p->stride_w;
    c->next.at += p->stride_w * p->in.c;
    if (--c->columns != 0)
        return place;
    if (--c->rows != 0) {
        c->next.y += p->stride_h;
        ec_start_row(c);
    } else {
        c->image += p->in.h * p->in.w * p->in.c;
        ec_start_image(c);
    }
    return place;
}

/* Rows of taps [first, last) lie inside the image. */
typedef struct {
    int32_t first, last;
} ec_taps_range;

static inline ec_taps_range ec_rows_inside(const ec_conv_params *p, const ec_place *place)
{
    ec_taps_range rows = { 0, p->filter_h };
    if (place->rows_inside)
        return rows;
    while (rows.first < rows.last && place->y + rows.first * p->dilation_h < 0)
        rows.first++;
    while (rows.first < rows.last && place->y + (rows.last - 1) * p->dilation_h >= p->in.h)
        rows.last--;
    return rows;
}

/* Elements [first, last) of a run that starts in this column lie inside the image; first > last when none does. */
static inline ec_taps_range ec_part_inside(const ec_conv_params *p, const ec_runs *runs, int32_t column)
{
    const int32_t taps = runs->count == 1 ? p->filter_w : 1;
    const int32_t inside = p->in.w - column;
    ec_taps_range part;
    part.first = column < 0 ? -column * p->filter_c : 0;
    part.last = inside >= taps ? runs->len : inside > 0 ? inside * p->filter_c : 0;
    return part;
}

#ifdef __cplusplus
}
#endif
#endif
