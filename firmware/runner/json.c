#include "json.h"

#include <inttypes.h>
#include <stdio.h>

/* Whether the next item is the first of its object or array; the item that closes one stands behind others again. */
static bool first = true;

static void begin(const char *key)
{
    if (!first) {
        putchar(',');
    }
    first = false;
    if (key != NULL) {
        printf("\"%s\":", key);
    }
}

static void open_with(const char *key, char bracket)
{
    begin(key);
    putchar(bracket);
    first = true;
}

static void close_with(char bracket)
{
    putchar(bracket);
    first = false;
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
    begin(key);
    if (value == NULL) {
        fputs("null", stdout);
        return;
    }
    putchar('"');
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\') {
            putchar('\\');
        }
        putchar(*value < ' ' || *value > '~' ? '?' : *value);
    }
    putchar('"');
}

void ec_json_number(const char *key, int64_t value)
{
    begin(key);
    printf("%" PRId64, value);
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
    begin(key);
    putchar('"');
    for (size_t i = 0; i < count; i++) {
        printf("%02x", bytes[i]);
    }
    putchar('"');
}

bool ec_json_finish(void)
{
    putchar('\n');
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}
