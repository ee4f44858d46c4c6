/* Timed runs of the model. */
#ifndef EC_RUNNER_MEASURE_H
#define EC_RUNNER_MEASURE_H

#include "arguments.h"
#include "facts.h"

/* All of it is what one measurement saw. Times are in ns, memory in KiB; -1 is unknown. */
typedef struct {
    ec_core core;                   /* that we were held to; number -1: none */
    int64_t khz_before, khz_after;  /* of that core, around the timed runs */
    uint64_t clock_overhead;
    uint64_t first;                 /* the first run of this process */
    uint32_t warmup_runs;
    uint32_t stride;                /* every so many runs one is timed */
    uint32_t sample_count;
    uint64_t *samples;              /* [sample_count] in order; room for EC_MAX_SAMPLES */
    uint64_t min, p50, p90, p99;    /* of the samples */
    uint32_t outputs_crc32;         /* of the last timed run's outputs */
    uint64_t wall, cpu;             /* from before the first timed run to after the last one */
    uint32_t step_runs;             /* inferences that were timed step by step, after the timed runs */
    uint64_t *steps;                /* [ec_app_model.step_count] the median of each step; NULL when the engine cannot step */
    int64_t rss_before, rss_after;  /* before init, and after the first run */
    int64_t peak_rss;               /* before the timed runs */
    int zones_before_count, zones_after_count;
    ec_zone zones_before[EC_MAX_ZONES], zones_after[EC_MAX_ZONES];
} ec_measurement;

/* EC_OK, an ec_status of the model, or one of these. The inputs' copies are there; the model is not initialized yet. */
enum { EC_MEASURE_NO_CORE = -101, EC_MEASURE_NO_MEMORY = -102 };
int ec_measure(const ec_arguments *arguments, ec_measurement *seen);

#endif
