/* The command line. `ec_arguments_usage` says what it may be. */
#ifndef EC_RUNNER_ARGUMENTS_H
#define EC_RUNNER_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "cores.h"

#define EC_MAX_SAMPLES 100000u
#define EC_MAX_MS 3600000u

enum ec_verb { EC_VERB_INFO, EC_VERB_RUN, EC_VERB_MEASURE };

typedef struct {
    enum ec_verb verb;
    char *const *inputs;        /* [ec_app_model.input_count] files; for run and measure */
    char *const *outputs;       /* [ec_app_model.output_count] files; for run */
    enum ec_core_class core_class;
    int core;                   /* for EC_CORE_NUMBER */
    uint32_t runs, min_ms;      /* timed runs: at least so many, for at least so long */
    uint32_t warmup, warmup_ms; /* the same for the untimed ones before */
} ec_arguments;

/* False after saying on stderr what is wrong. */
bool ec_arguments_read(int argc, char *const *argv, ec_arguments *arguments);

void ec_arguments_usage(void);

#endif
