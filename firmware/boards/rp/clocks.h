/* Clocks of RP2040 and RP2350: the crystal, the system PLL, and from it the core's clock (clk_sys) and the UARTs' (clk_peri).
 *
 * RP2040 datasheet 2.14 (resets), 2.15 (clocks), 2.16 (XOSC), 2.18 (PLL); RP2350 datasheet 7.5, 8.1, 8.2, 8.6: the same registers.
 * A family's port.c gives their addresses before it includes this:
 *
 *   RP_RESETS, RP_CLOCKS, RP_XOSC, RP_PLL_SYS     base addresses
 *   RP_RESET_PLL_SYS                              its bit in RESETS
 *   RP_DIVIDE_BY_1                                clk_ref's and clk_sys's divider for 1
 *   RP_RING_HZ                                    nominal frequency of clk_ref on the ring oscillator, as the boot ROM leaves it
 *   RP_CORE_MOST_HZ                               the fastest that the data sheet allows
 *
 * and a target sets xosc_hz, pll_feedback, pll_divider1, pll_divider2: core = xosc * feedback / divider1 / divider2. */
#ifndef EC_RP_CLOCKS_H
#define EC_RP_CLOCKS_H

#include "ec_board.h"
#include "registers.h"

#if !defined(EC_BOARD_XOSC_HZ) || !defined(EC_BOARD_PLL_FEEDBACK) || !defined(EC_BOARD_PLL_DIVIDER1) || !defined(EC_BOARD_PLL_DIVIDER2)
#error "an rp2040 or rp2350 target sets xosc_hz, pll_feedback, pll_divider1, pll_divider2"
#endif
#if EC_BOARD_XOSC_HZ < 5000000 || EC_BOARD_XOSC_HZ > 15000000
#error "xosc_hz must be 5 to 15 MHz: what the PLL takes and the oscillator's lowest range gives"
#endif
#if EC_BOARD_PLL_FEEDBACK < 16 || EC_BOARD_PLL_FEEDBACK > 320 || EC_BOARD_XOSC_HZ * EC_BOARD_PLL_FEEDBACK < 750000000 || \
    EC_BOARD_XOSC_HZ * EC_BOARD_PLL_FEEDBACK > 1600000000
#error "pll_feedback must be 16 to 320, with 750 to 1600 MHz between it and the dividers"
#endif
#if EC_BOARD_PLL_DIVIDER1 < 1 || EC_BOARD_PLL_DIVIDER1 > 7 || EC_BOARD_PLL_DIVIDER2 < 1 || EC_BOARD_PLL_DIVIDER2 > EC_BOARD_PLL_DIVIDER1
#error "pll_divider1 and pll_divider2 must be 1 to 7, the first one not the smaller"
#endif

#define RP_CORE_HZ (EC_BOARD_XOSC_HZ * EC_BOARD_PLL_FEEDBACK / EC_BOARD_PLL_DIVIDER1 / EC_BOARD_PLL_DIVIDER2)
#if RP_CORE_HZ > RP_CORE_MOST_HZ
#error "the core's clock is faster than the data sheet allows"
#endif

#define RESETS_RESET RP_REGISTER(RP_RESETS + 0x0u)      /* 1: held in reset */
#define RESETS_RESET_DONE RP_REGISTER(RP_RESETS + 0x8u) /* 1: out of reset, and ready */

#define CLK_REF_CTRL RP_REGISTER(RP_CLOCKS + 0x30u) /* 1:0 source: 0 ring oscillator, 2 crystal */
#define CLK_REF_DIV RP_REGISTER(RP_CLOCKS + 0x34u)
#define CLK_REF_SELECTED RP_REGISTER(RP_CLOCKS + 0x38u) /* one bit for each source: the one in use */
#define CLK_SYS_CTRL RP_REGISTER(RP_CLOCKS + 0x3Cu) /* bit 0: 0 clk_ref, 1 the other source; 7:5 that source, 0 is the system PLL */
#define CLK_SYS_DIV RP_REGISTER(RP_CLOCKS + 0x40u)
#define CLK_SYS_SELECTED RP_REGISTER(RP_CLOCKS + 0x44u)
#define CLK_PERI_CTRL RP_REGISTER(RP_CLOCKS + 0x48u) /* bit 11 on; 7:5 source: 0 clk_sys */

#define XOSC_CTRL RP_REGISTER(RP_XOSC + 0x00u)   /* 23:12 0xFAB on; 11:0 0xAA0 range 1 to 15 MHz */
#define XOSC_STATUS RP_REGISTER(RP_XOSC + 0x04u) /* bit 31 stable */
#define XOSC_STARTUP RP_REGISTER(RP_XOSC + 0x0Cu) /* start-up time in units of 256 periods */

#define PLL_CS RP_REGISTER(RP_PLL_SYS + 0x00u)        /* bit 31 locked; 5:0 divider of the crystal */
#define PLL_PWR RP_REGISTER(RP_PLL_SYS + 0x04u)       /* 1 is off: bit 0 the PLL, 3 its output dividers, 5 its oscillator */
#define PLL_FBDIV_INT RP_REGISTER(RP_PLL_SYS + 0x08u) /* feedback */
#define PLL_PRIM RP_REGISTER(RP_PLL_SYS + 0x0Cu)      /* 18:16 and 14:12, the output dividers */

/* Out of reset, and ready; false when it never is. */
static bool rp_release(uint32_t bits)
{
    RESETS_RESET &= ~bits;
    return rp_wait(&RESETS_RESET_DONE, bits, bits);
}

/* The core to clk_ref: the PLL may then be set up whatever ran on it before, and an RP2350's core leaves the ring oscillator's full speed,
 * which the boot ROM of later chips quadruples (8.3.1). */
static bool rp_select_reference(void)
{
    CLK_SYS_CTRL &= ~1u;
    return rp_wait(&CLK_SYS_SELECTED, 3u, 1u << 0);
}

static bool rp_start_crystal(void)
{
    XOSC_STARTUP = (EC_BOARD_XOSC_HZ / 1000 + 128) / 256; /* 1 ms (RP2040 2.16.3, RP2350 8.2.4) */
    XOSC_CTRL = 0xFABu << 12 | 0xAA0u;
    return rp_wait(&XOSC_STATUS, 1u << 31, 1u << 31);
}

/* clk_ref to the crystal. It may have been divided, for a faster ring oscillator (RP2350 8.3.1). */
static bool rp_select_crystal(void)
{
    rp_set_field(&CLK_REF_CTRL, 3u, 2u);
    if (!rp_wait(&CLK_REF_SELECTED, 1u << 2, 1u << 2)) {
        return false;
    }
    CLK_REF_DIV = RP_DIVIDE_BY_1;
    CLK_SYS_DIV = RP_DIVIDE_BY_1;
    return true;
}

/* RP2040 2.18, RP2350 8.6.4: feedback, power, lock, and only then the output. */
static bool rp_start_pll(void)
{
    RESETS_RESET |= RP_RESET_PLL_SYS;
    if (!rp_release(RP_RESET_PLL_SYS)) {
        return false;
    }
    PLL_CS = 1;
    PLL_FBDIV_INT = EC_BOARD_PLL_FEEDBACK;
    PLL_PWR &= ~(1u << 0 | 1u << 5);
    if (!rp_wait(&PLL_CS, 1u << 31, 1u << 31)) {
        return false;
    }
    PLL_PRIM = EC_BOARD_PLL_DIVIDER1 << 16 | EC_BOARD_PLL_DIVIDER2 << 12;
    PLL_PWR &= ~(1u << 3);
    return true;
}

static bool rp_select_pll(void)
{
    rp_set_field(&CLK_SYS_CTRL, 7u << 5, 0);
    CLK_SYS_CTRL |= 1u;
    if (!rp_wait(&CLK_SYS_SELECTED, 3u, 1u << 1)) {
        CLK_SYS_CTRL &= ~1u;
        return false;
    }
    return true;
}

/* The UARTs' clock follows the core's. Its source may only change while it is off, which takes a few of its cycles (RP2040 2.15.3). */
static void rp_start_peripheral_clock(void)
{
    CLK_PERI_CTRL = 0;
    for (volatile int i = 0; i < 16; i++) {
    }
    CLK_PERI_CTRL = 1u << 11;
}

/* The core's frequency: full speed; without a PLL the crystal's; without a crystal the ring oscillator's nominal one, which is only
 * known within a factor of two or three (RP2040 2.17, RP2350 8.3.1), so that the UART is then unlikely to be understood. */
static uint32_t rp_start_clocks(void)
{
    uint32_t core_hz = RP_RING_HZ;
    if (rp_select_reference() && rp_start_crystal() && rp_select_crystal()) {
        core_hz = rp_start_pll() && rp_select_pll() ? RP_CORE_HZ : EC_BOARD_XOSC_HZ;
    }
    rp_start_peripheral_clock();
    return core_hz;
}

#endif
