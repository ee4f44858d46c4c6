/* What the system says of the machine and of this process. A fact that cannot be read is -1, or an empty text. */
#ifndef EC_RUNNER_FACTS_H
#define EC_RUNNER_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the kernel tells its facts; tests say otherwise. */
#ifndef EC_SYSFS
#define EC_SYSFS "/sys"
#endif
#ifndef EC_PROCFS
#define EC_PROCFS "/proc"
#endif

#define EC_MAX_ZONES 256
#define EC_FACT_CHARS 64

typedef struct {
    int number;                  /* of /sys/class/thermal/thermal_zone<number> */
    char type[EC_FACT_CHARS];
    int32_t millicelsius;
} ec_zone;

/* The first line of a file, without its line end, cut to fit. */
bool ec_facts_line(const char *path, char *line, size_t capacity);

/* A whole number that is all that stands in the file's first line. */
bool ec_facts_number(const char *path, int64_t *value);

/* A file of cpufreq below a core's folder, such as "cpuinfo_max_freq" or "scaling_cur_freq": kHz. */
int64_t ec_facts_core_khz(int core, const char *file);

/* The zones whose temperature can be read, at most EC_MAX_ZONES: how many. */
int ec_facts_zones(ec_zone *zones);

/* Largest resident memory so far (VmHWM), in KiB. */
int64_t ec_facts_peak_rss_kb(void);

/* Resident memory now, in KiB: counted exactly from the page tables where the kernel does so, else its running estimate. */
int64_t ec_facts_rss_kb(void);

/* This process as the kernel names it. Under a user-mode emulator that is the emulator. */
bool ec_facts_process(char *name, size_t capacity);

#endif
