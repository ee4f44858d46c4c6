/* What the ports of all STM32 families share. A family's port.c includes this once, last, and gives before it:
 *
 *   STM32_UART                                       the stm32_usart that the target names (usart_v1.h or usart_v2.h)
 *   static stm32_clocks stm32_start_clocks(void)     full speed, or the reset clock when a wait in it ran out
 *   static void stm32_start_uart(uint32_t clock_hz)  clocks and pins of STM32_UART, and the unit itself, at EC_BOARD_BAUD */
#ifndef EC_STM32_PORT_H
#define EC_STM32_PORT_H

#include "../cortex_m/cycles.h"
#include "ec_port.h"

#if defined(EC_BOARD_ENERGY_PORT) || defined(EC_BOARD_ENERGY_PIN) || defined(EC_BOARD_ENERGY_MODE)
#include "energy.h"
#else
static void stm32_start_energy_pin(void)
{
}
#endif

static uint32_t stm32_core_hz;
static bool stm32_is_real;

void ec_port_init(void)
{
    const stm32_clocks clocks = stm32_start_clocks();
    stm32_core_hz = clocks.core_hz;
    stm32_start_uart(clocks.uart_hz);
    stm32_start_energy_pin();
    stm32_is_real = ec_cycles_start();
}

int ec_port_try_getc(void)
{
    return stm32_usart_try_getc(STM32_UART);
}

bool ec_port_try_putc(uint8_t byte)
{
    return stm32_usart_try_putc(STM32_UART, byte);
}

uint64_t ec_port_ticks(void)
{
    return ec_cycles_now();
}

uint32_t ec_port_ticks_hz(void)
{
    return stm32_core_hz;
}

uint32_t ec_port_clock_hz(void)
{
    return stm32_is_real ? stm32_core_hz : 0;
}

#endif
