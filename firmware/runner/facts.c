#include "facts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ec_facts_line(const char *path, char *line, size_t capacity)
{
    line[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    const bool read = fgets(line, (int)capacity, file) != NULL;
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    return read;
}

bool ec_facts_number(const char *path, int64_t *value)
{
    char line[EC_FACT_CHARS];
    if (!ec_facts_line(path, line, sizeof line)) {
        return false;
    }
    char *end;
    errno = 0;
    *value = strtoll(line, &end, 10);
    return errno == 0 && end != line && *end == '\0';
}

int64_t ec_facts_core_khz(int core, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, EC_SYSFS "/devices/system/cpu/cpu%d/cpufreq/%s", core, file);
    int64_t khz;
    return ec_facts_number(path, &khz) && khz > 0 ? khz : -1;
}

static bool read_zone(int number, ec_zone *zone)
{
    char path[256];
    int64_t value;
    snprintf(path, sizeof path, EC_SYSFS "/class/thermal/thermal_zone%d/temp", number);
    if (!ec_facts_number(path, &value) || value < INT32_MIN || value > INT32_MAX) {
        return false;
    }
    snprintf(path, sizeof path, EC_SYSFS "/class/thermal/thermal_zone%d/type", number);
    zone->number = number;
    zone->millicelsius = (int32_t)value;
    (void)ec_facts_line(path, zone->type, sizeof zone->type);
    return true;
}

/* By number, not by listing the folder: phones let the shell read zones that they do not let it list. */
int ec_facts_zones(ec_zone *zones)
{
    int count = 0;
    for (int number = 0; number < EC_MAX_ZONES; number++) {
        count += read_zone(number, &zones[count]);
    }
    return count;
}

/* The value of a line such as "VmHWM:     1234 kB". */
static int64_t read_kb(const char *path, const char *field)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return -1;
    }
    char line[256];
    int64_t kb = -1;
    while (kb < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) {
            sscanf(line + strlen(field), "%" SCNd64, &kb);
        }
    }
    fclose(file);
    return kb;
}

int64_t ec_facts_peak_rss_kb(void)
{
    return read_kb(EC_PROCFS "/self/status", "VmHWM:");
}

int64_t ec_facts_rss_kb(void)
{
    /* Newer kernels keep VmRSS in counters of each core, which are tens of pages off. */
    const int64_t exact = read_kb(EC_PROCFS "/self/smaps_rollup", "Rss:");
    return exact >= 0 ? exact : read_kb(EC_PROCFS "/self/status", "VmRSS:");
}

bool ec_facts_process(char *name, size_t capacity)
{
    return ec_facts_line(EC_PROCFS "/self/comm", name, capacity);
}
