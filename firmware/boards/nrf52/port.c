/* nRF52840: 64 MHz from the 32 MHz crystal, instruction cache on, UART0, the core's cycle counter.
 *
 * nRF52840 Product Specification v1.11. The core always runs at 64 MHz: there is no PLL to set up, and flash wait states are the chip's
 * own business. */
#define NRF_PINS 48
#include "../cortex_m/cycles.h"
#include "../nrf/uart.h"
#include "ec_port.h"

enum { CORE_HZ = 64000000 };

/* Chapter NVMC, "Cache": bit 0, on. Without it each fetch from flash waits. */
#define NVMC_ICACHECNF NRF_REGISTER(0x4001E540u)

static bool is_real;

void ec_port_init(void)
{
    NVMC_ICACHECNF = 1;
    nrf_start_crystal();
    nrf_uart_start();
    is_real = ec_cycles_start();
}

int ec_port_try_getc(void)
{
    return nrf_uart_try_getc();
}

bool ec_port_try_putc(uint8_t byte)
{
    return nrf_uart_try_putc(byte);
}

uint64_t ec_port_ticks(void)
{
    return ec_cycles_now();
}

uint32_t ec_port_ticks_hz(void)
{
    return CORE_HZ;
}

uint32_t ec_port_clock_hz(void)
{
    return is_real ? CORE_HZ : 0;
}
