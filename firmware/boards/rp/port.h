/* What the ports of RP2040 and RP2350 share. A family's port.c gives addresses (see clocks.h; RP_IO_BANK0, RP_PADS_BANK0, RP_UART0,
 * RP_UART1, and the bits RP_RESET_IO_BANK0, RP_RESET_PADS_BANK0, RP_RESET_UART0, RP_RESET_UART1), then includes this once, and then
 * defines ec_port_clock_hz. A target sets uart, tx_pin, rx_pin and baud. */
#ifndef EC_RP_PORT_H
#define EC_RP_PORT_H

#include "../cortex_m/cycles.h"
#include "clocks.h"
#include "ec_port.h"
#include "pl011.h"

#if !defined(EC_BOARD_UART) || !defined(EC_BOARD_TX_PIN) || !defined(EC_BOARD_RX_PIN) || !defined(EC_BOARD_BAUD)
#error "an rp2040 or rp2350 target sets uart, tx_pin, rx_pin, baud"
#endif

/* By function 2 a UART's pins repeat in groups of four, sender and receiver first, eight pins to a unit's turn but for the first one
 * (RP2040 1.4.3, RP2350 1.2.3). */
#define RP_UART_OF(pin) ((((pin) + 4u) >> 3) & 1u)
#if EC_BOARD_UART > 1 || EC_BOARD_TX_PIN > 29 || EC_BOARD_RX_PIN > 29 || EC_BOARD_TX_PIN % 4 != 0 || EC_BOARD_RX_PIN % 4 != 1 || \
    RP_UART_OF(EC_BOARD_TX_PIN) != EC_BOARD_UART || RP_UART_OF(EC_BOARD_RX_PIN) != EC_BOARD_UART
#error "uart must be 0 or 1, and its pins must be some of its own: uart 0 on 0/1, 12/13, 16/17, 28/29; uart 1 on 4/5, 8/9, 20/21, 24/25"
#endif

#if EC_BOARD_UART == 0
#define RP_UART ((rp_uart *)RP_UART0)
#define RP_RESET_UART RP_RESET_UART0
#else
#define RP_UART ((rp_uart *)RP_UART1)
#define RP_RESET_UART RP_RESET_UART1
#endif

/* GPIO: RP2040 2.19.6, RP2350 9.11. */
#define RP_PIN_FUNCTION(pin) RP_REGISTER(RP_IO_BANK0 + 8u * (pin) + 4u) /* GPIOn_CTRL, 4:0: 2 is a UART */
#define RP_PIN_PAD(pin) RP_REGISTER(RP_PADS_BANK0 + 4u * (pin) + 4u) /* bit 1 Schmitt trigger, 3 pull-up, 5:4 1 is 4 mA, 6 input on;
                                                                        RP2350: 8 isolated, as after a reset */

static uint32_t rp_core_hz;
static bool rp_dwt_counts;

static void rp_use_pin(uint32_t pin)
{
    RP_PIN_PAD(pin) = 1u << 1 | 1u << 3 | 1u << 4 | 1u << 6;
    RP_PIN_FUNCTION(pin) = 2;
}

void ec_port_init(void)
{
    rp_core_hz = rp_start_clocks();
    (void)rp_release(RP_RESET_IO_BANK0 | RP_RESET_PADS_BANK0 | RP_RESET_UART);
    rp_uart_start(RP_UART, rp_core_hz, EC_BOARD_BAUD);
    rp_use_pin(EC_BOARD_TX_PIN);
    rp_use_pin(EC_BOARD_RX_PIN);
    rp_dwt_counts = ec_cycles_start();
}

int ec_port_try_getc(void)
{
    return rp_uart_try_getc(RP_UART);
}

bool ec_port_try_putc(uint8_t byte)
{
    return rp_uart_try_putc(RP_UART, byte);
}

uint64_t ec_port_ticks(void)
{
    return ec_cycles_now();
}

uint32_t ec_port_ticks_hz(void)
{
    return rp_core_hz;
}

#endif
