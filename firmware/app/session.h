/* The model between two commands: copies of its inputs, timed runs, and what a run touches.
 *
 * invoke may overwrite its inputs, so the inputs are restored from their copies before every run, outside the timed part. */
#ifndef EC_APP_SESSION_H
#define EC_APP_SESSION_H

#include "ec_model.h"

/* Initializes the model; its ec_status, which ec_session_status repeats. */
int ec_session_init(void);
int ec_session_status(void);

/* Where the copy of an input is; NULL when there is no such input. [ec_app_model.inputs[index].bytes] */
uint8_t *ec_session_input(uint32_t index);

/* Whether the copy of an input is complete; the first 32 inputs are told apart. ec_session_ready: all are. */
void ec_session_set_ready(uint32_t index, bool ready);
bool ec_session_ready(void);

/* Ticks of one invoke, as ec_port_ticks counts them (the reading costs ec_session_overhead ticks of these). EC_OK or an ec_status. */
int ec_session_run(uint64_t *ticks);

/* The same reading around a function of one instruction, its return, called like invoke and like step. */
void ec_session_overhead(uint64_t *invoke_ticks, uint64_t *step_ticks);

/* Ticks of steps [first, first + count) within one whole inference. */
int ec_session_time_steps(uint32_t first, uint32_t count, uint64_t *ticks);

/* The deepest stack of one invoke, below its caller, and 1 + the highest arena offset that init and invoke wrote. Runs the model twice. */
int ec_session_probe_memory(uint32_t *stack_bytes, uint32_t *arena_touched_bytes);

/* Whether outputs of a finished run are there. */
bool ec_session_has_outputs(void);

#endif
