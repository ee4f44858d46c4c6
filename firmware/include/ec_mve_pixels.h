/* Any number of filters against any number of pixels whose windows lie at equal distances, by ec_mve_sums. */
#ifndef EC_MVE_PIXELS_H
#define EC_MVE_PIXELS_H

#include "ec_mve_sums.h"

typedef struct {
    ec_mve_job job;                   /* length and clamps; what changes is filled in for each run */
    const int8_t *weights;            /* packed */
    const ec_mve_four *fours;
    int32_t filters;                  /* padded to fours in weights and fours */
    int32_t pixel_bytes;              /* from a window to the next */
    int32_t out_bytes;                /* from a pixel's outputs to the next pixel's: >= filters */
} ec_mve_filters;

static inline ec_mve_job ec_mve_job_of(ec_mve_length length, int32_t zero_point, int32_t low, int32_t high)
{
    ec_mve_job job;
    job.x0 = job.x1 = NULL;
    job.start = job.loop = 0;
    job.weights = NULL;
    job.fours = job.end = NULL;
    job.out0 = job.out1 = NULL;
    job.x_step = job.out_step = job.pairs = 0;
    job.rounds = length.rounds;
    job.tail = length.tail;
    job.entry = length.entry;
    job.zero_point = zero_point;
    job.low = low;
    job.high = high;
    job.blocks = length.blocks;
    return job;
}

static inline int32_t ec_mve_four_bytes(const ec_mve_job *job)
{
    return 4 * (job->tail + 16 * job->blocks);
}

/* The last one to three filters of a pair of pixels, through a buffer because four bytes are written a pixel. */
static inline void ec_mve_sum_rest(const ec_mve_filters *f, const int8_t *x, int32_t ahead, int8_t *out, int32_t out_ahead)
{
    const int32_t whole = f->filters & ~3;
    int8_t sums[2][4];
    ec_mve_job job = f->job;
    job.x0 = x;
    job.x1 = x + ahead;
    job.weights = f->weights + (whole >> 2) * ec_mve_four_bytes(&f->job);
    job.fours = f->fours + (whole >> 2);
    job.end = job.fours + 1;
    job.out0 = sums[0];
    job.out1 = sums[1];
    job.pairs = 1;
    ec_mve_sums(&job);
    EC_ROLLED
    for (int32_t i = 0; i < f->filters - whole; i++) {
        out[whole + i] = sums[0][i];
        out[out_ahead + whole + i] = sums[1][i];
    }
}

/* Pairs of pixels. A single pixel is a pair whose second pixel is the first one again (ahead and out_ahead are 0). */
EC_OUT_OF_LINE void ec_mve_sum_pairs(
        const ec_mve_filters *f, const int8_t *x, int32_t ahead, int32_t pairs, int8_t *out, int32_t out_ahead)
{
    if (f->filters >= 4) {
        ec_mve_job job = f->job;
        job.x0 = x;
        job.x1 = x + ahead;
        job.weights = f->weights;
        job.fours = f->fours;
        job.end = f->fours + (f->filters >> 2);
        job.out0 = out;
        job.out1 = out + out_ahead;
        job.x_step = 2 * f->pixel_bytes;
        job.out_step = 2 * f->out_bytes - (f->filters & ~3);
        job.pairs = pairs;
        ec_mve_sums(&job);
    }
    if ((f->filters & 3) != 0)
        for (; pairs != 0; pairs--, x += 2 * f->pixel_bytes, out += 2 * f->out_bytes)
            ec_mve_sum_rest(f, x, ahead, out, out_ahead);
}

/* Pixels come in runs, and the outputs of each run follow those of the one before: the last pixel of an odd run waits for the next run. */
typedef struct {
    const int8_t *x;                  /* NULL: none waits */
    int8_t *out;
} ec_mve_waiting;

/* All filters of the pixel that waits and of `pixels` more; perhaps the last one waits then. */
EC_OUT_OF_LINE void ec_mve_sum_run(const ec_mve_filters *f, ec_mve_waiting *waiting, const int8_t *x, int32_t pixels, int8_t *out)
{
    if (waiting->x != NULL) {
        ec_mve_sum_pairs(f, waiting->x, (int32_t)(x - waiting->x), 1, waiting->out, f->out_bytes);
        x += f->pixel_bytes;
        out += f->out_bytes;
        pixels--;
    }
    const int32_t even = pixels & ~1;
    if (even != 0)
        ec_mve_sum_pairs(f, x, f->pixel_bytes, even >> 1, out, f->out_bytes);
    waiting->x = pixels == even ? NULL : x + even * f->pixel_bytes;
    waiting->out = out + even * f->out_bytes;
}

static inline void ec_mve_sum_waiting(const ec_mve_filters *f, const ec_mve_waiting *waiting)
{
    if (waiting->x != NULL)
        ec_mve_sum_pairs(f, waiting->x, 0, 1, waiting->out, 0);
}

#endif
