/* Registers and bounded waits, for RP2040 and RP2350. */
#ifndef EC_RP_REGISTERS_H
#define EC_RP_REGISTERS_H

#include "ec_types.h"

#define RP_REGISTER(address) (*(volatile uint32_t *)(address))

/* At least 33 ms at 24 MHz, the fastest that clk_ref may be on the ring oscillator (RP2350 8.3.1), at four cycles a round: a crystal takes
 * some milliseconds, a PLL less than one. */
enum { RP_WAIT_ROUNDS = 200000 };

/* Until the bits of `mask` read `expected`; false when they never do. */
static inline bool rp_wait(const volatile uint32_t *from, uint32_t mask, uint32_t expected)
{
    for (uint32_t i = 0; i < RP_WAIT_ROUNDS; i++) {
        if ((*from & mask) == expected) {
            return true;
        }
    }
    return false;
}

static inline void rp_set_field(volatile uint32_t *at, uint32_t mask, uint32_t value)
{
    *at = (*at & ~mask) | value;
}

#endif
