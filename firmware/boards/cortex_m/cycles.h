/* Core cycles as 64 bits: the DWT's cycle counter where it is seen counting, else SysTick. A board's port.c includes this once.
 *
 * SysTick counts core cycles down from 2^24 - 1. Its interrupt comes once in 2^24 cycles, counts SysTick's wraps and looks at the 32-bit
 * DWT counter often enough to miss none of its own: about 30 cycles in 16.8 million are the price, inside an inference as well. Where
 * SysTick itself is what is read, that price is measured once and taken off, so that an emulator's counts repeat to the instruction.
 * Registers: Armv7-M Architecture Reference Manual (ARM DDI 0403E): B3.3 SysTick, B3.2.4 ICSR, C1.6.5 DEMCR, C1.8.7 and C1.8.8 DWT_CTRL,
 * DWT_CYCCNT. The same addresses in Armv6-M (DDI 0419E; no DWT cycle counter there) and Armv8-M (DDI 0553). */
#ifndef EC_CYCLES_H
#define EC_CYCLES_H

#include "ec_types.h"

#define EC_SYST_CSR (*(volatile uint32_t *)0xE000E010u) /* bit 0 enable, bit 1 interrupt, bit 2 the core's clock */
#define EC_SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define EC_SYST_CVR (*(volatile uint32_t *)0xE000E018u) /* any write makes it 0 */
#define EC_ICSR (*(volatile uint32_t *)0xE000ED04u)     /* bit 26 SysTick's interrupt is pending */
#define EC_DEMCR (*(volatile uint32_t *)0xE000EDFCu)    /* bit 24 DWT on */
#define EC_DWT_CTRL (*(volatile uint32_t *)0xE0001000u) /* bit 0 cycle counter on */
#define EC_DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)
#define EC_DWT_LAR (*(volatile uint32_t *)0xE0001FB0u) /* C1.8: a Cortex-M7 takes no write before this key */

enum { EC_SYSTICK_MASK = 0xFFFFFF, EC_SYSTICK_BITS = 24, EC_SYSTICK_SET = 1 << 26, EC_SYSTICK_CLEAR = 1 << 25, EC_PRICE_LOG2 = 10 };

static struct {
    uint64_t dwt;     /* DWT_CYCCNT at the last look, widened */
    uint64_t spent;   /* by SysTick's interrupt so far, in 1024ths of a tick */
    uint32_t price;   /* of one */
    uint32_t wraps;   /* of SysTick */
    bool dwt_counts;
} ec_cycles;

void ec_systick_handler(void);

static inline uint32_t ec_interrupts_off(void)
{
    uint32_t before;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(before)::"memory");
    return before;
}

static inline void ec_interrupts_back(uint32_t before)
{
    __asm volatile("msr primask, %0" ::"r"(before) : "memory");
}

static inline uint64_t ec_cycles_look_at_dwt(void)
{
    ec_cycles.dwt += (uint32_t)(EC_DWT_CYCCNT - (uint32_t)ec_cycles.dwt);
    return ec_cycles.dwt;
}

void ec_systick_handler(void)
{
    ec_cycles.wraps++;
    ec_cycles.spent += ec_cycles.price;
    if (ec_cycles.dwt_counts) {
        (void)ec_cycles_look_at_dwt();
    }
}

/* SysTick's ticks while its interrupt is set, or cleared, 1024 times: the same instructions but for the interrupt. */
__attribute__((noinline)) static uint32_t ec_cycles_of_1024(uint32_t set_or_clear)
{
    const uint32_t before = EC_SYST_CVR;
    for (int i = 0; i < 1 << EC_PRICE_LOG2; i++) {
        EC_ICSR = set_or_clear;
        __asm volatile("dsb\n isb" ::: "memory");
    }
    return (before - EC_SYST_CVR) & EC_SYSTICK_MASK;
}

/* Start counting; true when the DWT's counter moves. It stands still in QEMU, which tells a board's clock from emulated time. */
static inline bool ec_cycles_start(void)
{
    EC_SYST_RVR = EC_SYSTICK_MASK;
    EC_SYST_CVR = 0;
    EC_SYST_CSR = 7;
#if __ARM_ARCH >= 7
    EC_DEMCR |= 1u << 24;
    EC_DWT_LAR = 0xC5ACCE55u;
    EC_DWT_CTRL |= 1u;
    const uint32_t before = EC_DWT_CYCCNT;
    for (volatile int i = 0; i < 16; i++) {
    }
    ec_cycles.dwt_counts = EC_DWT_CYCCNT != before;
#endif
    if (!ec_cycles.dwt_counts) {
        const uint32_t with = ec_cycles_of_1024(EC_SYSTICK_SET), without = ec_cycles_of_1024(EC_SYSTICK_CLEAR);
        ec_cycles.price = with > without ? with - without : 0;
        ec_cycles.wraps = 0;
    }
    return ec_cycles.dwt_counts;
}

static inline uint64_t ec_cycles_now(void)
{
    const uint32_t before = ec_interrupts_off();
    uint64_t now;
    if (ec_cycles.dwt_counts) {
        now = ec_cycles_look_at_dwt();
    } else {
        uint32_t wraps = ec_cycles.wraps;
        uint32_t left = EC_SYST_CVR;
        if (EC_ICSR & (uint32_t)EC_SYSTICK_SET) { /* it wrapped, and the interrupt has not counted that yet */
            wraps++;
            left = EC_SYST_CVR;
        }
        /* 0 is the start of a period: the interrupt became pending with it. */
        now = ((uint64_t)wraps << EC_SYSTICK_BITS) + (-left & EC_SYSTICK_MASK) - (ec_cycles.spent >> EC_PRICE_LOG2);
    }
    ec_interrupts_back(before);
    return now;
}

#endif
