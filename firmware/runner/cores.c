#include "cores.h"

#include <sched.h>
#include <stdlib.h>

#include "facts.h"

/* "0-3,6": the numbers, at most EC_MAX_CORES of them; how many. */
static int read_list(const char *text, int *numbers)
{
    int count = 0;
    while (*text >= '0' && *text <= '9') {
        char *end;
        const long from = strtol(text, &end, 10);
        long to = from;
        if (*end == '-') {
            to = strtol(end + 1, &end, 10);
        }
        for (long n = from; n <= to && n < EC_MAX_CORES && count < EC_MAX_CORES; n++) {
            numbers[count++] = (int)n;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

/* The cores that this process may use now. */
static int allowed(int *numbers)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 0;
    }
    int count = 0;
    for (int n = 0; n < CPU_SETSIZE && count < EC_MAX_CORES; n++) {
        if (CPU_ISSET((size_t)n, &set)) {
            numbers[count++] = n;
        }
    }
    return count;
}

int ec_cores_list(ec_core *cores)
{
    static int numbers[EC_MAX_CORES];
    char line[1024];
    int count = ec_facts_line(EC_SYSFS "/devices/system/cpu/possible", line, sizeof line) ? read_list(line, numbers) : 0;
    if (count == 0) {
        count = allowed(numbers);
    }
    for (int i = 0; i < count; i++) {
        cores[i] = (ec_core){ numbers[i], ec_facts_core_khz(numbers[i], "cpuinfo_max_freq") };
    }
    return count;
}

static int by_number(const ec_core *a, const ec_core *b)
{
    return b->number - a->number;
}

static int fastest_first(const void *left, const void *right)
{
    const ec_core *a = left, *b = right;
    if (a->max_khz != b->max_khz) {
        return a->max_khz > b->max_khz ? -1 : 1;
    }
    return by_number(a, b);
}

/* A core of unknown frequency comes last here, too. */
static int slowest_first(const void *left, const void *right)
{
    const ec_core *a = left, *b = right;
    if (a->max_khz == b->max_khz) {
        return by_number(a, b);
    }
    if (a->max_khz < 0 || b->max_khz < 0) {
        return a->max_khz < 0 ? 1 : -1;
    }
    return a->max_khz < b->max_khz ? -1 : 1;
}

static bool hold_to(int number)
{
    if (number < 0 || number >= CPU_SETSIZE) {
        return false;
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)number, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

bool ec_cores_pin(enum ec_core_class wanted, int number, ec_core *pinned)
{
    static ec_core cores[EC_MAX_CORES];
    *pinned = (ec_core){ -1, -1 };
    if (wanted == EC_CORE_ANY) {
        return true;
    }
    if (wanted == EC_CORE_NUMBER) {
        *pinned = (ec_core){ number, ec_facts_core_khz(number, "cpuinfo_max_freq") };
        return hold_to(number);
    }
    const int count = ec_cores_list(cores);
    qsort(cores, (size_t)count, sizeof cores[0], wanted == EC_CORE_FAST ? fastest_first : slowest_first);
    for (int i = 0; i < count; i++) {
        if (hold_to(cores[i].number)) {
            *pinned = cores[i];
            return true;
        }
    }
    return false;
}
