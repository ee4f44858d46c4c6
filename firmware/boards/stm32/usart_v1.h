/* The USART of STM32F1 and F4, polled, 8 bits and no parity. No FIFO: one byte of buffer each way.
 * Registers: RM0390 section 25.6; RM0041 section 23.6 has the same ones. */
#ifndef EC_STM32_USART_H
#define EC_STM32_USART_H

#include "ec_types.h"

typedef struct {
    volatile uint32_t status;   /* 0x00 SR: bit 3 overrun, bit 5 received, bit 7 room to send */
    volatile uint32_t data;     /* 0x04 DR */
    volatile uint32_t divisor;  /* 0x08 BRR: clock / baud, as 12 bits and 4 of fraction at 16 samples a bit */
    volatile uint32_t control1; /* 0x0C CR1: bit 2 receiver, bit 3 sender, bit 13 on */
    volatile uint32_t control2; /* 0x10 CR2: 0 is one stop bit */
    volatile uint32_t control3; /* 0x14 CR3 */
} stm32_usart;

enum {
    STM32_USART_OVERRUN = 1u << 3,
    STM32_USART_RECEIVED = 1u << 5,
    STM32_USART_ROOM = 1u << 7,
    STM32_USART_RECEIVER = 1u << 2,
    STM32_USART_SENDER = 1u << 3,
    STM32_USART_ON = 1u << 13,
};

static inline void stm32_usart_start(stm32_usart *usart, uint32_t clock_hz, uint32_t baud)
{
    usart->control1 = 0;
    usart->control2 = 0;
    usart->control3 = 0;
    usart->divisor = (clock_hz + baud / 2) / baud;
    usart->control1 = STM32_USART_ON | STM32_USART_SENDER | STM32_USART_RECEIVER;
}

static inline int stm32_usart_try_getc(stm32_usart *usart)
{
    const uint32_t status = usart->status;
    if ((status & (STM32_USART_RECEIVED | STM32_USART_OVERRUN)) == 0) {
        return -1;
    }
    /* Reading SR and then DR clears an overrun. It may come alone, and DR then holds an old byte (RM0390 25.4.3, "Overrun error"). */
    const uint32_t byte = usart->data & 0xffu;
    return (status & STM32_USART_RECEIVED) ? (int)byte : -1;
}

static inline bool stm32_usart_try_putc(stm32_usart *usart, uint8_t byte)
{
    if ((usart->status & STM32_USART_ROOM) == 0) {
        return false;
    }
    usart->data = byte;
    return true;
}

#endif
