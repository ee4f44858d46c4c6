/* The USART and LPUART of STM32L4 and H7, polled, 8 bits and no parity.
 * Registers: RM0432, "USART registers" and "LPUART registers"; RM0433, "USART registers", has the same ones. */
#ifndef EC_STM32_USART_H
#define EC_STM32_USART_H

#include "ec_types.h"

typedef struct {
    volatile uint32_t control1;  /* 0x00 CR1: bit 0 on, bit 2 receiver, bit 3 sender, bit 29 FIFOs (where there are some) */
    volatile uint32_t control2;  /* 0x04 CR2: 0 is one stop bit */
    volatile uint32_t control3;  /* 0x08 CR3 */
    volatile uint32_t divisor;   /* 0x0C BRR: clock / baud at 16 samples a bit; 256 * clock / baud in an LPUART */
    volatile uint32_t guard;     /* 0x10 GTPR */
    volatile uint32_t timeout;   /* 0x14 RTOR */
    volatile uint32_t request;   /* 0x18 RQR */
    volatile uint32_t status;    /* 0x1C ISR: bits 0 to 3 errors (3 overrun), bit 5 received, bit 7 room to send */
    volatile uint32_t clear;     /* 0x20 ICR: bits 0 to 3 clear the errors */
    volatile uint32_t received;  /* 0x24 RDR */
    volatile uint32_t send;      /* 0x28 TDR */
    volatile uint32_t prescaler; /* 0x2C PRESC (where there are FIFOs) */
} stm32_usart;

enum {
    STM32_USART_ON = 1u << 0,
    STM32_USART_RECEIVER = 1u << 2,
    STM32_USART_SENDER = 1u << 3,
    STM32_USART_FIFO = 1u << 29,
    STM32_USART_ERRORS = 15u,
    STM32_USART_RECEIVED = 1u << 5,
    STM32_USART_ROOM = 1u << 7,
};

/* `divisor` as BRR wants it; `has_fifo` is a fact of the part. */
static inline void stm32_usart_start(stm32_usart *usart, uint32_t divisor, bool has_fifo)
{
    const uint32_t fifo = has_fifo ? STM32_USART_FIFO : 0;
    usart->control1 = 0;
    usart->control2 = 0;
    usart->control3 = 0;
    usart->divisor = divisor;
    usart->control1 = fifo; /* before the unit is on */
    usart->control1 = fifo | STM32_USART_ON | STM32_USART_SENDER | STM32_USART_RECEIVER;
}

static inline uint32_t stm32_usart_divisor(uint32_t clock_hz, uint32_t baud)
{
    return (clock_hz + baud / 2) / baud;
}

/* 256 * clock / baud without 64-bit arithmetic: baud < 2^24. */
static inline uint32_t stm32_lpuart_divisor(uint32_t clock_hz, uint32_t baud)
{
    return (clock_hz / baud << 8) + ((clock_hz % baud << 8) + baud / 2) / baud;
}

static inline int stm32_usart_try_getc(stm32_usart *usart)
{
    const uint32_t status = usart->status;
    if (status & STM32_USART_ERRORS) {
        usart->clear = STM32_USART_ERRORS; /* reception stops at an overrun until it is cleared */
    }
    return (status & STM32_USART_RECEIVED) ? (int)(usart->received & 0xffu) : -1;
}

static inline bool stm32_usart_try_putc(stm32_usart *usart, uint8_t byte)
{
    if ((usart->status & STM32_USART_ROOM) == 0) {
        return false;
    }
    usart->send = byte;
    return true;
}

#endif
