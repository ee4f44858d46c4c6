/* The JSON documents: schema 1. docs/runner.md says what each field is. */
#ifndef EC_RUNNER_REPORT_H
#define EC_RUNNER_REPORT_H

#include "measure.h"

/* Each writes one document; false when stdout did not take it. */
bool ec_report_info(void);
bool ec_report_run(void);
bool ec_report_measurement(const ec_measurement *seen);

#endif
