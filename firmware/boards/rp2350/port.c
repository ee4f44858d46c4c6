/* RP2350: 12 MHz from a crystal through the PLL to 150 MHz, a UART, the core's cycle counter.
 *
 * image_def.c tells the boot ROM that this is a program. Flash stays as the boot ROM left it (5.2.7, 5.9.5): the cache is on, and a
 * chip like the Pico 2's is read through four data lines at a third of the core's clock. The second core sleeps in the boot ROM. RP2350
 * datasheet, 2.2 (address map), 7.5 (reset bits). */
#define RP_CLOCKS 0x40010000u
#define RP_RESETS 0x40020000u
#define RP_IO_BANK0 0x40028000u
#define RP_PADS_BANK0 0x40038000u
#define RP_XOSC 0x40048000u
#define RP_PLL_SYS 0x40050000u
#define RP_UART0 0x40070000u
#define RP_UART1 0x40078000u

#define RP_RESET_IO_BANK0 (1u << 6)
#define RP_RESET_PADS_BANK0 (1u << 9)
#define RP_RESET_PLL_SYS (1u << 14)
#define RP_RESET_UART0 (1u << 26)
#define RP_RESET_UART1 (1u << 27)

#define RP_DIVIDE_BY_1 (1u << 16) /* 8.1.7: 16 bits of fraction */
/* 8.3.1: 4.6 to 24 MHz. */
#define RP_RING_HZ 11000000u
#define RP_CORE_MOST_HZ 150000000u

#include "../rp/port.h"

uint32_t ec_port_clock_hz(void)
{
    return rp_dwt_counts ? rp_core_hz : 0;
}
