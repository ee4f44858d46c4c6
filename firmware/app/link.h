/* The wire: bytes in, commands out. A command is text that ends with '%'; replies are lines that end with CR LF. */
#ifndef EC_APP_LINK_H
#define EC_APP_LINK_H

#include "ec_types.h"

/* The longest command without its '%'. A bulk frame takes 20 + 320 at most (frame.h), a command of MLPerf Tiny 79. */
enum { LINK_COMMAND_BYTES = 352, LINK_TOO_LONG = -1 };

/* Wait for the next command; leading blanks and line ends are dropped. Its length, or LINK_TOO_LONG for one that was thrown away.
 * The text is NUL-terminated and stays until the next call. */
int ec_link_read_command(char **command);

/* Take what the UART has received into the ring. Every loop of more than some hundred instructions calls it while the host may send. */
void ec_link_poll(void);

void ec_link_send(char c);
void ec_link_send_text(const char *text);
void ec_link_send_decimal(uint64_t value);
void ec_link_send_hex(uint32_t value, int digits);

#endif
