/* The pin of MLPerf Tiny's energy mode, where a target names one: energy_port and energy_pin, and energy_mode = 1 for a firmware that pulses
 * it instead of printing times (MLPerf's own energy runner wants that, at 9600 baud). A family's port.c gives, before stm32/port.h:
 *
 *   GPIO(port)            the stm32_gpio of a port's letter
 *   STM32_GPIO_ENABLE     the register with a clock bit for each port, A first */
#ifndef EC_STM32_ENERGY_H
#define EC_STM32_ENERGY_H

#ifndef STM32_GPIO_ENABLE
#error "this family has no energy pin: leave energy_port, energy_pin and energy_mode out"
#endif
#if !defined(EC_BOARD_ENERGY_PORT) || !defined(EC_BOARD_ENERGY_PIN)
#error "the energy pin wants energy_port and energy_pin"
#endif
#if EC_BOARD_ENERGY_PIN > 15 || EC_BOARD_ENERGY_PORT > 'H'
#error "energy_port is A to H, and energy_pin 0 to 15"
#endif
#if (EC_BOARD_ENERGY_PORT == EC_BOARD_TX_PORT && EC_BOARD_ENERGY_PIN == EC_BOARD_TX_PIN) || \
    (EC_BOARD_ENERGY_PORT == EC_BOARD_RX_PORT && EC_BOARD_ENERGY_PIN == EC_BOARD_RX_PIN)
#error "the energy pin is one of the UART's"
#endif

static void stm32_start_energy_pin(void)
{
    stm32_enable(&STM32_GPIO_ENABLE, EC_BOARD_ENERGY_PORT - 'A');
    stm32_gpio_open_drain(GPIO(EC_BOARD_ENERGY_PORT), EC_BOARD_ENERGY_PIN);
}

bool ec_port_set_energy_pin(bool released)
{
    GPIO(EC_BOARD_ENERGY_PORT)->set_reset = 1u << (released ? EC_BOARD_ENERGY_PIN : EC_BOARD_ENERGY_PIN + 16);
    return true;
}

#if defined(EC_BOARD_ENERGY_MODE) && EC_BOARD_ENERGY_MODE
bool ec_port_is_in_energy_mode(void)
{
    return true;
}
#endif

#endif
