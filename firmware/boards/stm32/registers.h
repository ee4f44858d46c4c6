/* Registers and bounded waits, for the STM32 families. */
#ifndef EC_STM32_REGISTERS_H
#define EC_STM32_REGISTERS_H

#include "ec_types.h"

#define STM32_REGISTER(address) (*(volatile uint32_t *)(address))

/* At least 12 ms on the fastest reset clock here (64 MHz, four cycles a round) and 200 ms on the slowest: the longest wait, a crystal's
 * start, takes 2 ms in the data sheets. In an emulator without this hardware it ends after 0.6 million instructions. */
enum { STM32_WAIT_ROUNDS = 200000 };

/* Until the bits of `mask` read `expected`; false when they never do. */
static inline bool stm32_wait(const volatile uint32_t *from, uint32_t mask, uint32_t expected)
{
    for (uint32_t i = 0; i < STM32_WAIT_ROUNDS; i++) {
        if ((*from & mask) == expected) {
            return true;
        }
    }
    return false;
}

static inline void stm32_set_field(volatile uint32_t *at, uint32_t mask, uint32_t value)
{
    *at = (*at & ~mask) | value;
}

/* A peripheral may be used two of its bus's cycles after its clock is on: reading the enable register back takes as long (RM0390 6.2,
 * "Peripheral clock enable delay", and its like in the other manuals). */
static inline void stm32_enable(volatile uint32_t *enable, uint32_t bit)
{
    *enable |= 1u << bit;
    (void)*enable;
}

/* An APB divider as a PPRE field: 0xx undivided, 100 by 2, 101 by 4, 110 by 8, 111 by 16 (RM0390 6.3.3, RCC_CFGR; RM0433 8.7). */
#define STM32_PPRE_OK(divider) ((divider) == 1 || (divider) == 2 || (divider) == 4 || (divider) == 8 || (divider) == 16)
#define STM32_PPRE(divider) ((divider) == 1 ? 0u : (divider) == 2 ? 4u : (divider) == 4 ? 5u : (divider) == 8 ? 6u : 7u)

#endif
