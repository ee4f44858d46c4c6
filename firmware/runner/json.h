/* One JSON document on stdout, an object, written from front to back. The caller opens and closes in pairs; commas are set here. */
#ifndef EC_RUNNER_JSON_H
#define EC_RUNNER_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void ec_json_begin(void);

/* Ends the document with its own check sum, `"crc32"`: of every byte before the comma in front of it. False when stdout did not take all. */
bool ec_json_end(void);

/* `key` is NULL inside an array. */
void ec_json_open_object(const char *key);
void ec_json_close_object(void);
void ec_json_open_array(const char *key);
void ec_json_close_array(void);

/* Printable ASCII as it is; what else a kernel may put into a name becomes a question mark. NULL is null. */
void ec_json_text(const char *key, const char *value);
void ec_json_number(const char *key, int64_t value);

/* A negative value is a fact that could not be read: null. */
void ec_json_fact(const char *key, int64_t value);
void ec_json_hex(const char *key, const uint8_t *bytes, size_t count);

#endif
