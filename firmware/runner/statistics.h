/* Order statistics of whole nanoseconds. */
#ifndef EC_RUNNER_STATISTICS_H
#define EC_RUNNER_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/* Ascending, in place. */
void ec_statistics_sort(uint64_t *values, size_t count);

/* The nearest-rank percentile of sorted values: the smallest with at least `percent` % of all at or below it. count > 0. */
uint64_t ec_statistics_percentile(const uint64_t *sorted, size_t count, unsigned percent);

#endif
