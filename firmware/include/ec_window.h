/* The part of an image that one pixel of a pool sees. */
#ifndef EC_WINDOW_H
#define EC_WINDOW_H

#include "ec_pool.h"

typedef struct {
    int32_t offset;                  /* of its first pixel, in elements from the start of the image */
    int32_t rows, columns;           /* > 0 */
    int32_t row_stride, column_stride;
} ec_window;

static inline int32_t ec_smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Pixels of the window [start, start + size) that are in [0, limit); *first is the first of them. */
static inline int32_t ec_clip_window(int32_t start, int32_t size, int32_t limit, int32_t *first)
{
    *first = start > 0 ? start : 0;
    return ec_smaller(start + size, limit) - *first;
}

static inline ec_window ec_window_at(const ec_pool_params *p, int32_t y, int32_t x)
{
    int32_t first_row, first_column;
    const int32_t rows = ec_clip_window(y * p->stride_h - p->pad_top, p->filter_h, p->in.h, &first_row);
    const int32_t columns = ec_clip_window(x * p->stride_w - p->pad_left, p->filter_w, p->in.w, &first_column);
    const ec_window window = {(first_row * p->in.w + first_column) * p->in.c, rows, columns, p->in.w * p->in.c, p->in.c};
    return window;
}

#endif
