#include "measure.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ec_model.h"
#include "statistics.h"
#include "tensors.h"

#define MAX_STEP_RUNS 101u
#define NS_PER_MS 1000000u

/* One run with restored inputs; only invoke lies between the readings. */
static int timed_run(uint64_t *took)
{
    ec_tensors_restore();
    const uint64_t start = ec_clock_wall_ns();
    const int status = ec_app_model.invoke(ec_app_arena);
    *took = ec_clock_wall_ns() - start;
    return status;
}

static int first_run(ec_measurement *seen)
{
    seen->rss_before = ec_facts_rss_kb();
    int status = ec_app_model.init(ec_app_arena, ec_app_model.arena_bytes);
    if (status == EC_OK) {
        status = timed_run(&seen->first);
    }
    seen->rss_after = ec_facts_rss_kb();
    return status;
}

/* Untimed runs, at least so many and for so long. */
static int warm_up(const ec_arguments *arguments, ec_measurement *seen)
{
    const uint64_t start = ec_clock_wall_ns();
    const uint64_t least = (uint64_t)arguments->warmup_ms * NS_PER_MS;
    uint64_t elapsed = 0, took;
    while (seen->warmup_runs < arguments->warmup || elapsed < least) {
        const int status = timed_run(&took);
        if (status != EC_OK) {
            return status;
        }
        seen->warmup_runs++;
        elapsed = ec_clock_wall_ns() - start;
    }
    return EC_OK;
}

/* A model of a microsecond makes a million runs in a second, more than are kept. When the list is full, every second sample is dropped,
 * and from there on half as many runs are kept: what stays is as if only every `stride` runs one had been timed from the start. The
 * samples stand evenly for the whole time, and the core is never idle. */
static void thin_out(ec_measurement *seen)
{
    seen->sample_count /= 2;
    for (uint32_t i = 0; i < seen->sample_count; i++) {
        seen->samples[i] = seen->samples[2 * i + 1];
    }
    seen->stride *= 2;
}

/* What the process took is read before the first sample is kept: a hundred thousand of them are 800 kB that are not the model's. */
static int time_runs(const ec_arguments *arguments, ec_measurement *seen)
{
    seen->peak_rss = ec_facts_peak_rss_kb();
    const uint64_t least = (uint64_t)arguments->min_ms * NS_PER_MS;
    seen->khz_before = seen->core.number < 0 ? -1 : ec_facts_core_khz(seen->core.number, "scaling_cur_freq");
    const uint64_t cpu_start = ec_clock_cpu_ns();
    const uint64_t start = ec_clock_wall_ns();
    seen->stride = 1;
    while (seen->sample_count < arguments->runs || seen->wall < least) {
        if (seen->sample_count == EC_MAX_SAMPLES) {
            thin_out(seen);
        }
        int status = EC_OK;
        uint64_t took = 0;
        for (uint32_t i = 0; i < seen->stride && status == EC_OK; i++) {
            status = timed_run(&took);
        }
        if (status != EC_OK) {
            return status;
        }
        seen->samples[seen->sample_count++] = took;
        seen->wall = ec_clock_wall_ns() - start;
    }
    seen->cpu = ec_clock_cpu_ns() - cpu_start;
    seen->khz_after = seen->core.number < 0 ? -1 : ec_facts_core_khz(seen->core.number, "scaling_cur_freq");
    seen->outputs_crc32 = ec_tensors_outputs_crc32();
    return EC_OK;
}

static int summarize(ec_measurement *seen)
{
    const size_t count = seen->sample_count;
    uint64_t *sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL) {
        return EC_MEASURE_NO_MEMORY;
    }
    memcpy(sorted, seen->samples, count * sizeof *sorted);
    ec_statistics_sort(sorted, count);
    seen->min = sorted[0];
    seen->p50 = ec_statistics_percentile(sorted, count, 50);
    seen->p90 = ec_statistics_percentile(sorted, count, 90);
    seen->p99 = ec_statistics_percentile(sorted, count, 99);
    free(sorted);
    return EC_OK;
}

/* One inference step by step; times[step * MAX_STEP_RUNS + run]. */
static int time_steps_once(uint64_t *times, uint32_t run)
{
    ec_tensors_restore();
    for (uint32_t step = 0; step < ec_app_model.step_count; step++) {
        const uint64_t start = ec_clock_wall_ns();
        const int status = ec_app_model.step(ec_app_arena, (int)step);
        times[(size_t)step * MAX_STEP_RUNS + run] = ec_clock_wall_ns() - start;
        if (status != EC_OK) {
            return status;
        }
    }
    return EC_OK;
}

/* As many inferences as were timed whole, at most MAX_STEP_RUNS. The array becomes the medians. */
static int time_steps(ec_measurement *seen)
{
    const uint32_t count = ec_app_model.step == NULL ? 0 : ec_app_model.step_count;
    if (count == 0) {
        return EC_OK;
    }
    uint64_t *times = malloc((size_t)count * MAX_STEP_RUNS * sizeof *times);
    if (times == NULL) {
        return EC_MEASURE_NO_MEMORY;
    }
    const uint32_t runs = seen->sample_count < MAX_STEP_RUNS ? seen->sample_count : MAX_STEP_RUNS;
    for (; seen->step_runs < runs; seen->step_runs++) {
        const int status = time_steps_once(times, seen->step_runs);
        if (status != EC_OK) {
            free(times);
            return status;
        }
    }
    for (uint32_t step = 0; step < count; step++) {
        uint64_t *own = times + (size_t)step * MAX_STEP_RUNS;
        ec_statistics_sort(own, runs);
        times[step] = ec_statistics_percentile(own, runs, 50);
    }
    seen->steps = times;
    return EC_OK;
}

/* Temperatures are read before anything is warm: some sensors take milliseconds, in which a core would cool down again. */
int ec_measure(const ec_arguments *arguments, ec_measurement *seen)
{
    seen->zones_before_count = ec_facts_zones(seen->zones_before);
    if (!ec_cores_pin(arguments->core_class, arguments->core, &seen->core)) {
        return EC_MEASURE_NO_CORE;
    }
    seen->samples = malloc(EC_MAX_SAMPLES * sizeof *seen->samples);
    if (seen->samples == NULL) {
        return EC_MEASURE_NO_MEMORY;
    }
    seen->clock_overhead = ec_clock_overhead_ns();
    int status = first_run(seen);
    if (status == EC_OK) {
        status = warm_up(arguments, seen);
    }
    if (status == EC_OK) {
        status = time_runs(arguments, seen);
    }
    if (status == EC_OK) {
        status = summarize(seen);
    }
    if (status == EC_OK) {
        status = time_steps(seen);
    }
    seen->zones_after_count = ec_facts_zones(seen->zones_after);
    return status;
}
