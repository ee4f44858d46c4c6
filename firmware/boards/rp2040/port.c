/* RP2040: 12 MHz from a crystal through the PLL to full speed, a UART, SysTick widened to 64 bits (a Cortex-M0+ has no cycle counter).
 *
 * boot2.S runs before this and sets up the flash chip. The second core sleeps in the boot ROM. RP2040 datasheet, 2.2 (address map), 2.14
 * (reset bits). */
#define RP_CLOCKS 0x40008000u
#define RP_RESETS 0x4000C000u
#define RP_IO_BANK0 0x40014000u
#define RP_PADS_BANK0 0x4001C000u
#define RP_XOSC 0x40024000u
#define RP_PLL_SYS 0x40028000u
#define RP_UART0 0x40034000u
#define RP_UART1 0x40038000u

#define RP_RESET_IO_BANK0 (1u << 5)
#define RP_RESET_PADS_BANK0 (1u << 8)
#define RP_RESET_PLL_SYS (1u << 12)
#define RP_RESET_UART0 (1u << 22)
#define RP_RESET_UART1 (1u << 23)

#define RP_DIVIDE_BY_1 (1u << 8) /* 2.15.7: 8 bits of fraction */
/* 2.17: 1.8 to 12 MHz. */
#define RP_RING_HZ 6500000u
#define RP_CORE_MOST_HZ 133000000u

#include "../rp/port.h"

uint32_t ec_port_clock_hz(void)
{
    return rp_core_hz;
}
