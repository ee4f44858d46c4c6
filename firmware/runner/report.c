#include "report.h"

#include <sys/utsname.h>

#include "ec_model.h"
#include "json.h"
#include "tensors.h"

#define SCHEMA 1

static void open_document(const char *verb)
{
    char process[EC_FACT_CHARS];
    struct utsname system;
    const bool known = uname(&system) == 0;
    ec_json_begin();
    ec_json_number("schema", SCHEMA);
    ec_json_text("verb", verb);
    ec_json_text("name", ec_app_model.name);
    ec_json_hex("sha256", ec_app_model.sha256, sizeof ec_app_model.sha256);
    ec_json_text("process", ec_facts_process(process, sizeof process) ? process : NULL);
    ec_json_text("machine", known ? system.machine : NULL);
    ec_json_text("kernel", known ? system.release : NULL);
}

static void report_tensors(const char *key, const ec_tensor_info *tensors, uint32_t count)
{
    ec_json_open_array(key);
    for (uint32_t i = 0; i < count; i++) {
        ec_json_number(NULL, tensors[i].bytes);
    }
    ec_json_close_array();
}

bool ec_report_info(void)
{
    static ec_core cores[EC_MAX_CORES];
    open_document("info");
    ec_json_text("engine", ec_app_model.engine);
    ec_json_number("arena_bytes", ec_app_model.arena_bytes);
    ec_json_number("step_count", ec_app_model.step_count);
    report_tensors("input_bytes", ec_app_model.inputs, ec_app_model.input_count);
    report_tensors("output_bytes", ec_app_model.outputs, ec_app_model.output_count);
    ec_json_open_array("cores");
    const int count = ec_cores_list(cores);
    for (int i = 0; i < count; i++) {
        ec_json_open_object(NULL);
        ec_json_number("core", cores[i].number);
        ec_json_fact("max_khz", cores[i].max_khz);
        ec_json_close_object();
    }
    ec_json_close_array();
    return ec_json_end();
}

bool ec_report_run(void)
{
    open_document("run");
    ec_json_open_array("output_crc32");
    for (uint32_t i = 0; i < ec_app_model.output_count; i++) {
        ec_json_number(NULL, ec_tensors_output_crc32(i));
    }
    ec_json_close_array();
    return ec_json_end();
}

static void report_numbers(const char *key, const uint64_t *values, uint32_t count)
{
    ec_json_open_array(key);
    for (uint32_t i = 0; i < count; i++) {
        ec_json_number(NULL, (int64_t)values[i]);
    }
    ec_json_close_array();
}

static void report_zones(const char *key, const ec_zone *zones, int count)
{
    ec_json_open_array(key);
    for (int i = 0; i < count; i++) {
        ec_json_open_object(NULL);
        ec_json_number("zone", zones[i].number);
        ec_json_text("type", zones[i].type);
        ec_json_number("millicelsius", zones[i].millicelsius);
        ec_json_close_object();
    }
    ec_json_close_array();
}

/* For people; the host computes its own from the samples. */
static void report_summary(const ec_measurement *seen)
{
    ec_json_open_object("summary_ns");
    ec_json_number("min", (int64_t)seen->min);
    ec_json_number("p50", (int64_t)seen->p50);
    ec_json_number("p90", (int64_t)seen->p90);
    ec_json_number("p99", (int64_t)seen->p99);
    ec_json_close_object();
}

bool ec_report_measurement(const ec_measurement *seen)
{
    open_document("measure");
    ec_json_fact("core", seen->core.number);
    ec_json_fact("core_max_khz", seen->core.max_khz);
    ec_json_fact("khz_before", seen->khz_before);
    ec_json_fact("khz_after", seen->khz_after);
    ec_json_number("clock_overhead_ns", (int64_t)seen->clock_overhead);
    ec_json_number("first_ns", (int64_t)seen->first);
    report_summary(seen);
    ec_json_number("warmup_runs", seen->warmup_runs);
    ec_json_number("stride", seen->stride);
    ec_json_number("outputs_crc32", seen->outputs_crc32);
    ec_json_number("wall_ns", (int64_t)seen->wall);
    ec_json_number("cpu_ns", (int64_t)seen->cpu);
    ec_json_fact("rss_before_kb", seen->rss_before);
    ec_json_fact("rss_after_kb", seen->rss_after);
    ec_json_fact("peak_rss_kb", seen->peak_rss);
    report_zones("zones_before", seen->zones_before, seen->zones_before_count);
    report_zones("zones_after", seen->zones_after, seen->zones_after_count);
    ec_json_number("step_runs", seen->step_runs);
    report_numbers("steps_ns", seen->steps, seen->steps == NULL ? 0 : ec_app_model.step_count);
    report_numbers("samples_ns", seen->samples, seen->sample_count);
    return ec_json_end();
}
