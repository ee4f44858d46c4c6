#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crc32.h"

static uint32_t crc;

/* Whether the next item is the first of its object or array. */
static bool first;

static void put(const char *text)
{
    const size_t length = strlen(text);
    crc = ec_crc32(crc, (const uint8_t *)text, length);
    fwrite(text, 1, length, stdout);
}

static void put_char(char c)
{
    const char text[2] = { c, '\0' };
    put(text);
}

static void put_number(int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    put(text);
}

static void begin_item(const char *key)
{
    if (!first) {
        put_char(',');
    }
    first = false;
    if (key != NULL) {
        put_char('"');
        put(key);
        put("\":");
    }
}

static void open_with(const char *key, char bracket)
{
    begin_item(key);
    put_char(bracket);
    first = true;
}

/* What was closed is an item of what surrounds it. */
static void close_with(char bracket)
{
    put_char(bracket);
    first = false;
}

void ec_json_begin(void)
{
    crc = 0;
    first = true;
    open_with(NULL, '{');
}

bool ec_json_end(void)
{
    ec_json_number("crc32", crc);
    ec_json_close_object();
    put_char('\n');
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

void ec_json_open_object(const char *key)
{
    open_with(key, '{');
}

void ec_json_close_object(void)
{
    close_with('}');
}

void ec_json_open_array(const char *key)
{
    open_with(key, '[');
}

void ec_json_close_array(void)
{
    close_with(']');
}

void ec_json_text(const char *key, const char *value)
{
    begin_item(key);
    if (value == NULL) {
        put("null");
        return;
    }
    put_char('"');
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\') {
            put_char('\\');
        }
        put_char(*value < ' ' || *value > '~' ? '?' : *value);
    }
    put_char('"');
}

void ec_json_number(const char *key, int64_t value)
{
    begin_item(key);
    put_number(value);
}

void ec_json_fact(const char *key, int64_t value)
{
    if (value < 0) {
        ec_json_text(key, NULL);
    } else {
        ec_json_number(key, value);
    }
}

void ec_json_hex(const char *key, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    begin_item(key);
    put_char('"');
    for (size_t i = 0; i < count; i++) {
        put_char(digits[bytes[i] >> 4]);
        put_char(digits[bytes[i] & 15]);
    }
    put_char('"');
}
