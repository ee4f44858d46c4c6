/* Words and numbers of a command, and a reply that is put together before it is sent. */
#ifndef EC_APP_TEXT_H
#define EC_APP_TEXT_H

#include "ec_types.h"

/* The next word at *cursor, NUL-terminated in place, or NULL; *cursor moves behind it. */
char *ec_text_next_word(char **cursor);

bool ec_text_equal(const char *a, const char *b);

/* Digits only, at most `limit`. */
bool ec_text_read_decimal(const char *word, uint32_t limit, uint32_t *value);

/* The value of a hex digit, or -1. */
int ec_text_hex_digit(char c);

/* Exactly `digits` hex digits. */
bool ec_text_read_hex(const char *text, int digits, uint32_t *value);

/* A reply being written. Once it is full, further text is dropped and `full` stays set. */
typedef struct {
    char *text;
    uint32_t length, capacity;
    bool full;
} text_writer;

void ec_text_put(text_writer *to, char c);
void ec_text_write(text_writer *to, const char *text);
void ec_text_write_decimal(text_writer *to, uint64_t value);
void ec_text_write_signed(text_writer *to, int32_t value);
void ec_text_write_hex(text_writer *to, uint32_t value, int digits);

/* Base64 (RFC 4648, section 4) of `bytes`. */
void ec_text_write_base64(text_writer *to, const uint8_t *bytes, uint32_t count);

/* Bytes of base64 text, at most `capacity`; -1 when it is not base64 or holds more. `bytes` may be written before an error is found. */
int ec_text_read_base64(const char *text, uint8_t *bytes, uint32_t capacity);

#endif
