#include "energy.h"

#include "ec_port.h"

/* 0.1 ms: ten samples of an instrument that takes 100,000 a second. */
enum { PULSES_IN_A_SECOND = 10000 };

/* Boards without the pin. */
__attribute__((weak)) bool ec_port_set_energy_pin(bool released)
{
    (void)released;
    return false;
}

__attribute__((weak)) bool ec_port_is_in_energy_mode(void)
{
    return false;
}

void ec_energy_pulse(void)
{
    if (!ec_port_set_energy_pin(false)) {
        return;
    }
    const uint64_t start = ec_port_ticks();
    const uint32_t ticks = ec_port_ticks_hz() / PULSES_IN_A_SECOND;
    while (ec_port_ticks() - start < ticks) {
    }
    ec_port_set_energy_pin(true);
}
