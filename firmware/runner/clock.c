#include "clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
    struct timespec now = { 0 };
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t ec_clock_wall_ns(void)
{
    return read_ns(CLOCK_MONOTONIC_RAW);
}

uint64_t ec_clock_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t ec_clock_overhead_ns(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        const uint64_t start = ec_clock_wall_ns();
        const uint64_t took = ec_clock_wall_ns() - start;
        least = took < least ? took : least;
    }
    return least;
}
