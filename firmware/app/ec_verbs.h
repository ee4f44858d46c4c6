/* What the host may ask inside a frame: "info", "load 0 192 <base64>", ... docs/serial.md lists them.
 *
 * Every verb can be repeated without harm, so a lost answer is repaired by asking again. */
#ifndef EC_APP_EC_VERBS_H
#define EC_APP_EC_VERBS_H

#include "text.h"

/* Whether `body` takes as long as an inference: then the host is told "running" first, or it could not tell a long inference from a
 * lost command. */
bool ec_verb_is_slow(const char *body);

/* Carry out `body` and write the answer: "ok ..." or "error ...". The answer may lie over the body. */
void ec_verb_handle(char *body, text_writer *answer);

#endif
