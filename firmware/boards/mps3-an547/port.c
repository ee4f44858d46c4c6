/* Arm MPS3 with the Cortex-M55 image AN547 (Corstone SSE-300), in the secure state.
 * Addresses and clocks: Application Note AN547, memory map and clocks (CPU 32 MHz, peripherals 25 MHz). */
#include "../cmsdk/cycle_counter.h"
#include "../cmsdk/uart.h"
#include "ec_port.h"

enum { CORE_HZ = 32000000, PERIPHERAL_HZ = 25000000, BAUD = 115200 };

#define UART0 ((cmsdk_uart *)0x59303000u)

/* The 64-bit system counter, clocked like the CPU: its control frame, in the secure alias. Registers: Arm SSE-123 Example Subsystem TRM
 * (Arm 101370), system counter; address: Corstone SSE-300 Example Subsystem TRM (Arm 101773), memory map. */
#define COUNTER_CONTROL (*(volatile uint32_t *)0x58100000u) /* CNTCR: bit 0 enable */
#define COUNTER_LOW (*(volatile uint32_t *)0x58100008u)     /* CNTCV[31:0] */
#define COUNTER_HIGH (*(volatile uint32_t *)0x5810000Cu)    /* CNTCV[63:32] */

static uint32_t core_hz;

void ec_port_init(void)
{
    cmsdk_uart_init(UART0, PERIPHERAL_HZ, BAUD);
    COUNTER_CONTROL = 1;
    core_hz = cycle_counter_moves() ? CORE_HZ : 0;
}

int ec_port_try_getc(void)
{
    return cmsdk_uart_try_getc(UART0);
}

bool ec_port_try_putc(uint8_t byte)
{
    return cmsdk_uart_try_putc(UART0, byte);
}

/* The low word may wrap between the two reads: then the high word has changed, and all is read again. */
uint64_t ec_port_ticks(void)
{
    uint32_t high, low, again;
    do {
        high = COUNTER_HIGH;
        low = COUNTER_LOW;
        again = COUNTER_HIGH;
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

uint32_t ec_port_ticks_hz(void)
{
    return CORE_HZ;
}

uint32_t ec_port_clock_hz(void)
{
    return core_hz;
}
