/* The instruction and data caches of a Cortex-M7. Registers: Armv7-M Architecture Reference Manual (DDI 0403E), B2.2.7 and B3.2. */
#ifndef EC_CORTEX_M7_CACHES_H
#define EC_CORTEX_M7_CACHES_H

#include "ec_types.h"

#define M7_CCR (*(volatile uint32_t *)0xE000ED14u)     /* bit 16 data cache, 17 instruction cache */
#define M7_CCSIDR (*(volatile uint32_t *)0xE000ED80u)  /* 2:0 log2(words a line) - 2, 12:3 ways - 1, 27:13 sets - 1 */
#define M7_CSSELR (*(volatile uint32_t *)0xE000ED84u)  /* 0: the level 1 data cache */
#define M7_ICIALLU (*(volatile uint32_t *)0xE000EF50u) /* any write invalidates the instruction cache */
#define M7_DCISW (*(volatile uint32_t *)0xE000EF60u)   /* invalidates one line, by way (from the top bit down) and set */

static inline void m7_barrier(void)
{
    __asm volatile("dsb\n isb" ::: "memory");
}

/* After power-up both hold garbage, which must be invalidated first (DDI 0489, "Initializing and enabling the L1 cache"). A data cache that
 * is on already, after a reset of the core alone, may hold the only copy of data, so it is left as it is. */
static inline void m7_caches_start(void)
{
    M7_ICIALLU = 0;
    m7_barrier();
    M7_CCR |= 1u << 17;
    m7_barrier();
    if (M7_CCR & 1u << 16) {
        return;
    }
    M7_CSSELR = 0;
    m7_barrier();
    const uint32_t size = M7_CCSIDR;
    const uint32_t ways = (size >> 3 & 0x3FFu) + 1, sets = (size >> 13 & 0x7FFFu) + 1, line_log2 = (size & 7u) + 4;
    const uint32_t way_at = ways > 1 ? (uint32_t)__builtin_clz(ways - 1) : 0;
    for (uint32_t set = 0; set < sets; set++) {
        for (uint32_t way = 0; way < ways; way++) {
            M7_DCISW = (ways > 1 ? way << way_at : 0) | set << line_log2;
        }
    }
    m7_barrier();
    M7_CCR |= 1u << 16;
    m7_barrier();
}

#endif
