/* The UART of Arm's Cortex-M System Design Kit, polled.
 * Registers: Cortex-M System Design Kit TRM (ARM DDI 0479D), section "APB UART", programmer's model. One byte of buffer each way. */
#ifndef EC_CMSDK_UART_H
#define EC_CMSDK_UART_H

#include "ec_types.h"

typedef struct {
    volatile uint32_t data;      /* 0x00: receive and transmit */
    volatile uint32_t state;     /* 0x04: bit 0 transmit buffer full, bit 1 receive buffer full, bits 2 and 3 overruns */
    volatile uint32_t control;   /* 0x08: bit 0 transmit enable, bit 1 receive enable, further bits interrupts */
    volatile uint32_t interrupt; /* 0x0C */
    volatile uint32_t divisor;   /* 0x10: clock / baud, at least 16 */
} cmsdk_uart;

enum { CMSDK_UART_TX_FULL = 1u << 0, CMSDK_UART_RX_FULL = 1u << 1, CMSDK_UART_TX_ENABLE = 1u << 0, CMSDK_UART_RX_ENABLE = 1u << 1 };

static inline void cmsdk_uart_init(cmsdk_uart *uart, uint32_t clock_hz, uint32_t baud)
{
    uart->control = 0;
    uart->divisor = (clock_hz + baud / 2) / baud;
    uart->control = CMSDK_UART_TX_ENABLE | CMSDK_UART_RX_ENABLE;
    (void)uart->data; /* an old byte; and QEMU looks for new ones only after a read */
}

static inline int cmsdk_uart_try_getc(cmsdk_uart *uart)
{
    return (uart->state & CMSDK_UART_RX_FULL) ? (int)(uart->data & 0xffu) : -1;
}

static inline bool cmsdk_uart_try_putc(cmsdk_uart *uart, uint8_t byte)
{
    if (uart->state & CMSDK_UART_TX_FULL) {
        return false;
    }
    uart->data = byte;
    return true;
}

#endif
