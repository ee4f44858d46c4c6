#include "arguments.h"

#include <stdio.h>
#include <string.h>

#include "ec_model.h"

void ec_arguments_usage(void)
{
    fprintf(stderr,
            "usage: runner info\n"
            "       runner run IN... -o OUT...\n"
            "       runner measure [--core fast|slow|any|NUMBER] [--runs N] [--min-ms MS] [--warmup N] [--warmup-ms MS] IN...\n"
            "IN and OUT are files of raw tensor bytes: %u in, %u out. The answer is JSON on stdout.\n",
            (unsigned)ec_app_model.input_count, (unsigned)ec_app_model.output_count);
}

/* Digits only, `least` to `most`. */
static bool read_count(const char *option, const char *word, uint32_t least, uint32_t most, uint32_t *value)
{
    uint64_t sum = 0;
    bool good = word != NULL && *word != '\0';
    for (; good && *word != '\0'; word++) {
        good = *word >= '0' && *word <= '9';
        sum = sum * 10 + (uint64_t)(*word - '0');
        good = good && sum <= most;
    }
    if (!good || sum < least) {
        fprintf(stderr, "%s: expected %u to %u\n", option, (unsigned)least, (unsigned)most);
        return false;
    }
    *value = (uint32_t)sum;
    return true;
}

static bool read_core(const char *word, ec_arguments *to)
{
    static const char *const names[] = { [EC_CORE_ANY] = "any", [EC_CORE_FAST] = "fast", [EC_CORE_SLOW] = "slow" };
    for (unsigned i = 0; word != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(word, names[i]) == 0) {
            to->core_class = (enum ec_core_class)i;
            return true;
        }
    }
    uint32_t number;
    if (!read_count("--core: if not fast, slow or any", word, 0, EC_MAX_CORES - 1, &number)) {
        return false;
    }
    to->core_class = EC_CORE_NUMBER;
    to->core = (int)number;
    return true;
}

static bool right_count(const char *what, int came, uint32_t expected)
{
    if (came == (int)expected) {
        return true;
    }
    fprintf(stderr, "the model has %u %s; %d came\n", (unsigned)expected, what, came);
    return false;
}

static bool read_run(int argc, char *const *argv, ec_arguments *to)
{
    int inputs = 0;
    while (inputs < argc && strcmp(argv[inputs], "-o") != 0) {
        inputs++;
    }
    const int outputs = inputs < argc ? argc - inputs - 1 : 0;
    to->inputs = argv;
    to->outputs = argv + argc - outputs;
    return right_count("input(s)", inputs, ec_app_model.input_count) && right_count("output(s)", outputs, ec_app_model.output_count);
}

static bool read_option(const char *option, const char *value, ec_arguments *to)
{
    if (strcmp(option, "--core") == 0) {
        return read_core(value, to);
    }
    if (strcmp(option, "--runs") == 0) {
        return read_count(option, value, 1, EC_MAX_SAMPLES, &to->runs);
    }
    if (strcmp(option, "--min-ms") == 0) {
        return read_count(option, value, 0, EC_MAX_MS, &to->min_ms);
    }
    if (strcmp(option, "--warmup") == 0) {
        return read_count(option, value, 0, EC_MAX_SAMPLES, &to->warmup);
    }
    if (strcmp(option, "--warmup-ms") == 0) {
        return read_count(option, value, 0, EC_MAX_MS, &to->warmup_ms);
    }
    fprintf(stderr, "%s: no such option\n", option);
    return false;
}

static bool read_measure(int argc, char *const *argv, ec_arguments *to)
{
    int at = 0;
    while (at < argc && strncmp(argv[at], "--", 2) == 0) {
        if (!read_option(argv[at], at + 1 < argc ? argv[at + 1] : NULL, to)) {
            return false;
        }
        at += 2;
    }
    to->inputs = argv + at;
    return right_count("input(s)", argc - at, ec_app_model.input_count);
}

bool ec_arguments_read(int argc, char *const *argv, ec_arguments *arguments)
{
    *arguments = (ec_arguments){ .core_class = EC_CORE_FAST, .runs = 100, .min_ms = 1000, .warmup = 10, .warmup_ms = 500 };
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "info") == 0) {
        arguments->verb = EC_VERB_INFO;
        return argc == 2 || right_count("argument(s) after info", argc - 2, 0);
    }
    if (strcmp(verb, "run") == 0) {
        arguments->verb = EC_VERB_RUN;
        return read_run(argc - 2, argv + 2, arguments);
    }
    if (strcmp(verb, "measure") == 0) {
        arguments->verb = EC_VERB_MEASURE;
        return read_measure(argc - 2, argv + 2, arguments);
    }
    fprintf(stderr, "%s: expected info, run or measure\n", argc > 1 ? verb : "no verb was given");
    return false;
}
