/* Whether the core's cycle counter moves. QEMU's stands still, which tells its time, made of instructions, from a board's clock.
 * Registers: Armv7-M Architecture Reference Manual (ARM DDI 0403E), C1.6.5 DEMCR and C1.8.7, C1.8.8 DWT_CTRL, DWT_CYCCNT; the same
 * addresses in Armv8.1-M (ARM DDI 0553). */
#ifndef EC_CYCLE_COUNTER_H
#define EC_CYCLE_COUNTER_H

#include "ec_types.h"

static inline bool cycle_counter_moves(void)
{
    volatile uint32_t *const demcr = (volatile uint32_t *)0xE000EDFCu;
    volatile uint32_t *const control = (volatile uint32_t *)0xE0001000u;
    volatile uint32_t *const cycles = (volatile uint32_t *)0xE0001004u;
    *demcr |= 1u << 24; /* TRCENA */
    *control |= 1u;     /* CYCCNTENA */
    const uint32_t before = *cycles;
    for (volatile int i = 0; i < 16; i++) {
    }
    return *cycles != before;
}

#endif
