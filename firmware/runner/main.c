/* A model as a Linux or Android program: says what it is, runs, or times itself. One JSON document on stdout, everything else on stderr.
 *
 * The program believes what the host has proved: that the model is sound, and that its tables are true. */
#include <stdio.h>

#include "ec_model.h"
#include "report.h"
#include "tensors.h"

enum exit_code {
    EXIT_GOOD = 0,
    EXIT_ARGUMENTS = 2,    /* the command line */
    EXIT_FILE = 3,         /* an input or output file */
    EXIT_MODEL = 4,        /* the model refused its arena, or failed */
    EXIT_CORE = 5,         /* no core of that class or number may be used */
    EXIT_MEMORY = 6,
    EXIT_STDOUT = 7,       /* the answer could not be written */
};

static int model_failed(int status)
{
    fprintf(stderr, "%s: the model's status is %d (ec_status in ec_types.h)\n", ec_app_model.name, status);
    return EXIT_MODEL;
}

static int run(const ec_arguments *arguments)
{
    int status = ec_app_model.init(ec_app_arena, ec_app_model.arena_bytes);
    if (status == EC_OK) {
        ec_tensors_restore();
        status = ec_app_model.invoke(ec_app_arena);
    }
    if (status != EC_OK) {
        return model_failed(status);
    }
    if (!ec_tensors_write(arguments->outputs)) {
        return EXIT_FILE;
    }
    return ec_report_run() ? EXIT_GOOD : EXIT_STDOUT;
}

static int measure(const ec_arguments *arguments)
{
    static ec_measurement seen;
    const int status = ec_measure(arguments, &seen);
    switch (status) {
    case EC_OK:
        return ec_report_measurement(&seen) ? EXIT_GOOD : EXIT_STDOUT;
    case EC_MEASURE_NO_CORE:
        fputs("--core: no such core may be used now\n", stderr);
        return EXIT_CORE;
    case EC_MEASURE_NO_MEMORY:
        fputs("there is no memory for the times\n", stderr);
        return EXIT_MEMORY;
    default:
        return model_failed(status);
    }
}

int main(int argc, char **argv)
{
    ec_arguments arguments;
    if (!ec_arguments_read(argc, argv, &arguments)) {
        ec_arguments_usage();
        return EXIT_ARGUMENTS;
    }
    if (arguments.verb == EC_VERB_INFO) {
        return ec_report_info() ? EXIT_GOOD : EXIT_STDOUT;
    }
    if (!ec_tensors_read(arguments.inputs)) {
        return EXIT_FILE;
    }
    return arguments.verb == EC_VERB_RUN ? run(&arguments) : measure(&arguments);
}
