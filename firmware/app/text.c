#include "text.h"

#include "divide.h"
#include "link.h"

char *ec_text_next_word(char **cursor)
{
    char *start = *cursor;
    while (*start == ' ') {
        start++;
    }
    if (*start == '\0') {
        *cursor = start;
        return NULL;
    }
    char *end = start;
    while (*end && *end != ' ') {
        end++;
    }
    *cursor = *end ? end + 1 : end;
    *end = '\0';
    return start;
}

bool ec_text_equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++, b++;
    }
    return *a == *b;
}

bool ec_text_read_decimal(const char *word, uint32_t limit, uint32_t *value)
{
    if (word == NULL || *word == '\0') {
        return false;
    }
    uint32_t sum = 0;
    for (; *word; word++) {
        const uint32_t digit = (uint32_t)(*word - '0');
        if (digit > 9 || sum > UINT32_MAX / 10 || sum * 10 > UINT32_MAX - digit) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return sum <= limit;
}

int ec_text_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool ec_text_read_hex(const char *text, int digits, uint32_t *value)
{
    *value = 0;
    while (digits--) {
        const int digit = ec_text_hex_digit(*text++);
        if (digit < 0) {
            return false;
        }
        *value = *value << 4 | (uint32_t)digit;
    }
    return true;
}

void ec_text_put(text_writer *to, char c)
{
    if (to->length < to->capacity) {
        to->text[to->length++] = c;
    } else {
        to->full = true;
    }
}

void ec_text_write(text_writer *to, const char *text)
{
    while (*text) {
        ec_text_put(to, *text++);
    }
}

void ec_text_write_decimal(text_writer *to, uint64_t value)
{
    char digits[20];
    int count = 0;
    do {
        uint32_t digit;
        value = ec_divide(value, 10, &digit);
        digits[count++] = (char)('0' + digit);
    } while (value);
    while (count) {
        ec_text_put(to, digits[--count]);
    }
}

void ec_text_write_signed(text_writer *to, int32_t value)
{
    if (value < 0) {
        ec_text_put(to, '-');
    }
    ec_text_write_decimal(to, value < 0 ? (uint32_t)0 - (uint32_t)value : (uint32_t)value);
}

void ec_text_write_hex(text_writer *to, uint32_t value, int digits)
{
    while (digits--) {
        ec_text_put(to, "0123456789abcdef"[value >> (4 * digits) & 15u]);
    }
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ec_text_write_base64(text_writer *to, const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 3) {
        const uint32_t left = count - i;
        const uint32_t group =
            (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        ec_text_put(to, BASE64[group >> 18 & 63]);
        ec_text_put(to, BASE64[group >> 12 & 63]);
        ec_text_put(to, left > 1 ? BASE64[group >> 6 & 63] : '=');
        ec_text_put(to, left > 2 ? BASE64[group & 63] : '=');
        ec_link_poll();
    }
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int ec_text_read_base64(const char *text, uint8_t *bytes, uint32_t capacity)
{
    uint32_t count = 0;
    for (; *text; text += 4) {
        ec_link_poll();
        uint32_t group = 0;
        int digits = 0;
        for (; digits < 4 && base64_digit(text[digits]) >= 0; digits++) {
            group = group << 6 | (uint32_t)base64_digit(text[digits]);
        }
        /* Four digits are three bytes; with one or two '=' for the last, the text ends here. */
        const int padding = 4 - digits;
        if (padding > 2 || (padding > 0 && text[digits] != '=') || (padding == 2 && text[3] != '=') || (padding > 0 && text[4] != '\0')) {
            return -1;
        }
        group <<= 6 * padding;
        for (int i = 0; i < 3 - padding; i++) {
            if (count == capacity) {
                return -1;
            }
            bytes[count++] = (uint8_t)(group >> (16 - 8 * i));
        }
    }
    return (int)count;
}
