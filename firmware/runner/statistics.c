#include "statistics.h"

#include <stdlib.h>

static int ascending(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void ec_statistics_sort(uint64_t *values, size_t count)
{
    qsort(values, count, sizeof values[0], ascending);
}

uint64_t ec_statistics_percentile(const uint64_t *sorted, size_t count, unsigned percent)
{
    const size_t rank = (count * percent + 99) / 100;
    return sorted[rank > 0 ? rank - 1 : 0];
}
