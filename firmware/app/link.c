#include "link.h"

#include "ec_port.h"
#include "text.h"

/* Received while a reply is sent or a frame is checked. The host sends no faster than replies come back, so this holds what arrives
 * during one reply; when it is full, the rest waits in the UART or is lost there, and the host sends the frame again. */
enum { RING_BYTES = 256 };

static uint8_t ring[RING_BYTES];
static uint8_t ring_head, ring_tail; /* wrap at 256 by themselves */
static char line[LINK_COMMAND_BYTES + 1];

void ec_link_poll(void)
{
    while ((uint8_t)(ring_head + 1) != ring_tail) {
        const int byte = ec_port_try_getc();
        if (byte < 0) {
            return;
        }
        ring[ring_head++] = (uint8_t)byte;
    }
}

static char next_byte(void)
{
    while (ring_tail == ring_head) {
        ec_link_poll();
    }
    return (char)ring[ring_tail++];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\r' || c == '\n' || c == '\0';
}

int ec_link_read_command(char **command)
{
    int length = 0;
    bool too_long = false;
    for (;;) {
        const char c = next_byte();
        if (c == '%') {
            break;
        }
        if (length == 0 && is_blank(c)) {
            continue;
        }
        if (length < LINK_COMMAND_BYTES) {
            line[length++] = c;
        } else {
            too_long = true;
        }
    }
    line[length] = '\0';
    *command = line;
    return too_long ? LINK_TOO_LONG : length;
}

void ec_link_send(char c)
{
    while (!ec_port_try_putc((uint8_t)c)) {
        ec_link_poll();
    }
    ec_link_poll();
}

void ec_link_send_text(const char *text)
{
    while (*text) {
        ec_link_send(*text++);
    }
}

void ec_link_send_decimal(uint64_t value)
{
    char digits[20];
    text_writer writer = {digits, 0, sizeof digits, false};
    ec_text_write_decimal(&writer, value);
    for (uint32_t i = 0; i < writer.length; i++) {
        ec_link_send(digits[i]);
    }
}

void ec_link_send_hex(uint32_t value, int digits)
{
    while (digits--) {
        ec_link_send("0123456789abcdef"[value >> (4 * digits) & 15u]);
    }
}
