/* Pins of STM32F4, L4 and H7. Registers: RM0390 7.4, "GPIO registers"; RM0432 and RM0433 have the same ones, the F1 has others. */
#ifndef EC_STM32_GPIO_H
#define EC_STM32_GPIO_H

#include "ec_types.h"

typedef struct {
    volatile uint32_t mode;        /* 0x00 MODER: two bits a pin, 1 output, 2 alternate function */
    volatile uint32_t output_type; /* 0x04 OTYPER: one bit a pin, 0 push-pull, 1 open drain */
    volatile uint32_t speed;       /* 0x08 OSPEEDR: two bits a pin, 2 high */
    volatile uint32_t pull;        /* 0x0C PUPDR: two bits a pin, 1 pull-up */
    volatile uint32_t input;       /* 0x10 IDR */
    volatile uint32_t output;      /* 0x14 ODR */
    volatile uint32_t set_reset;   /* 0x18 BSRR: bit n sets pin n, bit 16 + n resets it */
    volatile uint32_t lock;        /* 0x1C LCKR */
    volatile uint32_t function[2]; /* 0x20 AFRL, 0x24 AFRH: four bits a pin */
} stm32_gpio;

enum { STM32_GPIO_STRIDE = 0x400 };

/* Pin `pin` an output that is pulled low or released, and released now; pulled up, for whoever listens. The port's clock is on. */
static inline void stm32_gpio_open_drain(stm32_gpio *port, uint32_t pin)
{
    const uint32_t pair = 2 * pin;
    port->set_reset = 1u << pin;
    port->output_type |= 1u << pin;
    port->pull = (port->pull & ~(3u << pair)) | 1u << pair;
    port->mode = (port->mode & ~(3u << pair)) | 1u << pair;
}

/* Pin `pin` to its alternate function; pulled up, so that a pin with nothing on it idles as a UART does. The port's clock is on. */
static inline void stm32_gpio_alternate(stm32_gpio *port, uint32_t pin, uint32_t function)
{
    volatile uint32_t *const select = &port->function[pin / 8];
    const uint32_t at = 4 * (pin % 8), pair = 2 * pin;
    *select = (*select & ~(15u << at)) | function << at;
    port->speed = (port->speed & ~(3u << pair)) | 2u << pair;
    port->pull = (port->pull & ~(3u << pair)) | 1u << pair;
    port->output_type &= ~(1u << pin);
    port->mode = (port->mode & ~(3u << pair)) | 2u << pair;
}

#endif
