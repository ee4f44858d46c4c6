/* Arm MPS2 with the Cortex-M images AN386 (M4) and AN500 (M7).
 * Addresses and the 25 MHz clock: Application Notes AN386 and AN500, memory map and clocks. */
#include "../cmsdk/cycle_counter.h"
#include "../cmsdk/uart.h"
#include "ec_port.h"

enum { SYSTEM_HZ = 25000000, BAUD = 115200 };

#define UART0 ((cmsdk_uart *)0x40004000u)

/* Cortex-M System Design Kit TRM (ARM DDI 0479D), section "APB timer": counts down to 0, then starts again at `reload`. */
typedef struct {
    volatile uint32_t control; /* bit 0 enable */
    volatile uint32_t value;
    volatile uint32_t reload;
    volatile uint32_t interrupt;
} cmsdk_timer;

#define TIMER0 ((cmsdk_timer *)0x40000000u)

/* The same manual, section "APB dual-input timers", timer 1 of the two. */
typedef struct {
    volatile uint32_t load;
    volatile uint32_t value;
    volatile uint32_t control; /* bit 7 enable, bit 6 periodic, bits 3:2 prescaler (2: by 256), bit 1 32 bits wide */
} cmsdk_dual_timer;

#define DUAL_TIMER ((cmsdk_dual_timer *)0x40002000u)
enum { DUAL_ENABLE_PERIODIC_BY_256_WIDE = 1u << 7 | 1u << 6 | 2u << 2 | 1u << 1, DUAL_PRESCALE_LOG2 = 8 };

static uint32_t core_hz;

void ec_port_init(void)
{
    cmsdk_uart_init(UART0, SYSTEM_HZ, BAUD);
    TIMER0->control = 0;
    TIMER0->value = UINT32_MAX;
    TIMER0->reload = UINT32_MAX;
    DUAL_TIMER->control = 0;
    DUAL_TIMER->load = UINT32_MAX;
    TIMER0->control = 1;
    DUAL_TIMER->control = DUAL_ENABLE_PERIODIC_BY_256_WIDE;
    core_hz = cycle_counter_moves() ? SYSTEM_HZ : 0;
}

int ec_port_try_getc(void)
{
    return cmsdk_uart_try_getc(UART0);
}

bool ec_port_try_putc(uint8_t byte)
{
    return cmsdk_uart_try_putc(UART0, byte);
}

/* The fine timer wraps after 172 s, the coarse one (the same clock by 256) after 12 hours. `coarse * 256` is within 2^31 of the truth, and
 * the fine value picks the exact one there: no interrupt, and an inference may take hours. */
uint64_t ec_port_ticks(void)
{
    static uint32_t last_coarse, coarse_wraps;
    const uint32_t coarse = ~DUAL_TIMER->value;
    const uint32_t fine = ~TIMER0->value;
    coarse_wraps += coarse < last_coarse;
    last_coarse = coarse;
    const uint64_t about = ((uint64_t)coarse_wraps << 32 | coarse) << DUAL_PRESCALE_LOG2;
    return about + (uint64_t)(int64_t)(int32_t)(fine - (uint32_t)about);
}

uint32_t ec_port_ticks_hz(void)
{
    return SYSTEM_HZ;
}

uint32_t ec_port_clock_hz(void)
{
    return core_hz;
}
