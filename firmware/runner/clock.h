/* Time: what passed, and what of it this process computed. Nanoseconds. */
#ifndef EC_RUNNER_CLOCK_H
#define EC_RUNNER_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC_RAW: no daemon bends it. */
uint64_t ec_clock_wall_ns(void);

/* Processor time of this process, which has one thread. A system call: too slow to stand around every run. */
uint64_t ec_clock_cpu_ns(void);

/* What two readings of the wall clock are apart at least; each timed run holds one such piece. */
uint64_t ec_clock_overhead_ns(void);

#endif
