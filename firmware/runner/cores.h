/* The machine's cores, and being held to one of them. */
#ifndef EC_RUNNER_CORES_H
#define EC_RUNNER_CORES_H

#include <stdbool.h>
#include <stdint.h>

#define EC_MAX_CORES 1024

typedef struct {
    int number;
    int64_t max_khz;    /* cpuinfo_max_freq; -1 when unknown */
} ec_core;

enum ec_core_class {
    EC_CORE_ANY,        /* wherever the scheduler puts us */
    EC_CORE_FAST,       /* the one with the highest max_khz */
    EC_CORE_SLOW,       /* the one with the lowest */
    EC_CORE_NUMBER,     /* the one that is named */
};

/* All cores, those that sleep included, from /sys/devices/system/cpu/possible: musl's sysconf counts only those that this process may
 * use. [EC_MAX_CORES]; how many. */
int ec_cores_list(ec_core *cores);

/* Hold this process to one core; `pinned` says which, -1 for EC_CORE_ANY. Of equal cores the one with the highest number is taken,
 * because core 0 handles most interrupts; one that sleeps or is forbidden is passed over. False when none is left. */
bool ec_cores_pin(enum ec_core_class wanted, int number, ec_core *pinned);

#endif
