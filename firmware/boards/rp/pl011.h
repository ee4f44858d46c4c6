/* UARTs of RP2040 and RP2350, polled, 8 bits and no parity: Arm's PL011, with 32 bytes of buffer each way.
 * RP2040 datasheet 4.2, RP2350 datasheet 12.1; ARM DDI 0183. */
#ifndef EC_RP_PL011_H
#define EC_RP_PL011_H

#include "ec_types.h"

typedef struct {
    volatile uint32_t data;        /* 0x00 UARTDR: 7:0 the byte, 11:8 what was wrong with it */
    uint32_t reserved0[5];
    volatile uint32_t flags;       /* 0x18 UARTFR: bit 4 nothing received, bit 5 no room to send */
    uint32_t reserved1[2];
    volatile uint32_t divisor;     /* 0x24 UARTIBRD: clock / (16 * baud), the whole part */
    volatile uint32_t fraction;    /* 0x28 UARTFBRD: and 64ths of it */
    volatile uint32_t line;        /* 0x2C UARTLCR_H: bit 4 buffers on, 6:5 3 is 8 bits; a write takes the divisor over */
    volatile uint32_t control;     /* 0x30 UARTCR: bit 0 on, bit 8 sender, bit 9 receiver */
} rp_uart;

enum { RP_UART_NOTHING_RECEIVED = 1u << 4, RP_UART_NO_ROOM = 1u << 5 };

/* clock_hz up to 1 GHz. */
static inline void rp_uart_start(rp_uart *uart, uint32_t clock_hz, uint32_t baud)
{
    const uint32_t divisor_64 = (4 * clock_hz + baud / 2) / baud;
    uart->control = 0;
    uart->divisor = divisor_64 >> 6;
    uart->fraction = divisor_64 & 63u;
    uart->line = 3u << 5 | 1u << 4;
    uart->control = 1u << 0 | 1u << 8 | 1u << 9;
}

static inline int rp_uart_try_getc(rp_uart *uart)
{
    return (uart->flags & RP_UART_NOTHING_RECEIVED) ? -1 : (int)(uart->data & 0xffu);
}

static inline bool rp_uart_try_putc(rp_uart *uart, uint8_t byte)
{
    if (uart->flags & RP_UART_NO_ROOM) {
        return false;
    }
    uart->data = byte;
    return true;
}

#endif
