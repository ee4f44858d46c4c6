/* Registers and bounded waits, for the nRF51 and nRF52 series. */
#ifndef EC_NRF_REGISTERS_H
#define EC_NRF_REGISTERS_H

#include "ec_types.h"

#define NRF_REGISTER(address) (*(volatile uint32_t *)(address))

/* At least 12 ms at 64 MHz and 50 ms at 16 MHz, at four cycles a round. The longest wait, the start of a 16 or 32 MHz crystal, takes
 * some milliseconds at most (product specifications of nRF51822 and nRF52840, tables of the crystal oscillators). */
enum { NRF_WAIT_ROUNDS = 200000 };

/* Until `event` happened; false when it never does. */
static inline bool nrf_wait(const volatile uint32_t *event)
{
    for (uint32_t i = 0; i < NRF_WAIT_ROUNDS; i++) {
        if (*event != 0) {
            return true;
        }
    }
    return false;
}

/* nRF51 Series Reference Manual v3.0 and nRF52840 Product Specification v1.11, chapters CLOCK. The core starts on the oscillator inside,
 * which gives the crystal's frequency within some percent, and goes on with it when the crystal does not start: nothing else changes. */
#define NRF_CLOCK_HFCLKSTART NRF_REGISTER(0x40000000u)   /* task: start the crystal */
#define NRF_CLOCK_HFCLKSTARTED NRF_REGISTER(0x40000100u) /* event: it runs, and the core runs on it */

static inline void nrf_start_crystal(void)
{
    NRF_CLOCK_HFCLKSTARTED = 0;
    NRF_CLOCK_HFCLKSTART = 1;
    (void)nrf_wait(&NRF_CLOCK_HFCLKSTARTED);
}

#endif
