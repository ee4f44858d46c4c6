/* STM32L4 and L4+: the internal 16 MHz oscillator through the PLL to 80 or 120 MHz; a USART or the LPUART.
 *
 * The oscillator (1 % at 30 degrees C in the data sheets) is used because it is in the part, whatever crystal a board has.
 * Manuals: RM0432 (STM32L4R5, L4+), RM0351 (STM32L475). Sections are those of RM0432; where the parts differ, a setting says:
 *
 *   pll_m, pll_n, pll_r      core = 16 MHz / m * n / r
 *   flash_wait_states
 *   boost                    1 above 80 MHz: range 1 boost mode (L4+ only)
 *   vddio2                   1 when the UART or the energy pin is at port G, whose pins have a supply of their own
 *   lpuart or usart          the UART's number: lpuart = 1, or usart = 1, 2 or 3
 *   uart_fifo                1 where it has FIFOs (L4+)
 *   tx_port, tx_pin, rx_port, rx_pin, pin_function, baud
 *   energy_port, energy_pin, energy_mode     optional: see stm32/energy.h */
#include "../stm32/clocks.h"
#include "../stm32/gpio.h"
#include "../stm32/registers.h"
#include "../stm32/usart_v2.h"
#include "ec_board.h"

#if !defined(EC_BOARD_PLL_M) || !defined(EC_BOARD_PLL_N) || !defined(EC_BOARD_PLL_R) || !defined(EC_BOARD_FLASH_WAIT_STATES) || \
    !defined(EC_BOARD_BOOST) || !defined(EC_BOARD_VDDIO2)
#error "an stm32l4 target sets pll_m, pll_n, pll_r, flash_wait_states, boost, vddio2"
#endif
#if defined(EC_BOARD_LPUART) == defined(EC_BOARD_USART) || !defined(EC_BOARD_UART_FIFO) || !defined(EC_BOARD_TX_PORT) || \
    !defined(EC_BOARD_TX_PIN) || !defined(EC_BOARD_RX_PORT) || !defined(EC_BOARD_RX_PIN) || !defined(EC_BOARD_PIN_FUNCTION) || \
    !defined(EC_BOARD_BAUD)
#error "an stm32l4 target sets either lpuart or usart, and uart_fifo, tx_port, tx_pin, rx_port, rx_pin, pin_function, baud"
#endif

enum { MSI_HZ = 4000000 }; /* the reset clock: 6.4.1, MSIRANGE */

#define HSI_HZ 16000000u
#define VCO_INPUT_HZ (HSI_HZ / EC_BOARD_PLL_M)
#define VCO_HZ (VCO_INPUT_HZ * EC_BOARD_PLL_N)
#define CORE_HZ (VCO_HZ / EC_BOARD_PLL_R)

/* 6.4.4, RCC_PLLCFGR, within the limits of both parts. */
#if EC_BOARD_PLL_M < 1 || EC_BOARD_PLL_M > 4 || HSI_HZ % EC_BOARD_PLL_M
#error "pll_m must be 1, 2 or 4: the PLL wants 4 to 16 MHz"
#endif
#if EC_BOARD_PLL_N < 8 || EC_BOARD_PLL_N > 86 || VCO_HZ < 64000000 || VCO_HZ > 344000000
#error "pll_n must be 8 to 86, with 64 to 344 MHz between pll_n and pll_r"
#endif
#if EC_BOARD_PLL_R != 2 && EC_BOARD_PLL_R != 4 && EC_BOARD_PLL_R != 6 && EC_BOARD_PLL_R != 8
#error "pll_r must be 2, 4, 6 or 8"
#endif
#if CORE_HZ > 120000000 || (CORE_HZ > 80000000) != EC_BOARD_BOOST
#error "boost must be 1 above 80 MHz and 0 up to there; nothing here runs faster than 120 MHz"
#endif
/* Tables "Number of wait states according to CPU clock frequency", range 1: RM0432 has one more for each 20 MHz begun, RM0351 one
 * for each 16 MHz. */
#if EC_BOARD_FLASH_WAIT_STATES < (CORE_HZ - 1) / 20000000 || EC_BOARD_FLASH_WAIT_STATES > 15
#error "flash_wait_states are too few for this clock"
#endif
#if EC_BOARD_TX_PIN > 15 || EC_BOARD_RX_PIN > 15 || EC_BOARD_PIN_FUNCTION > 15
#error "pins and pin_function are 0 to 15"
#endif
#ifndef EC_BOARD_ENERGY_PORT
#define USES_PORT_G (EC_BOARD_TX_PORT == 'G' || EC_BOARD_RX_PORT == 'G')
#else
#define USES_PORT_G (EC_BOARD_TX_PORT == 'G' || EC_BOARD_RX_PORT == 'G' || EC_BOARD_ENERGY_PORT == 'G')
#endif
#if USES_PORT_G && !EC_BOARD_VDDIO2
#error "port G needs vddio2 = 1"
#endif

/* 6.4, RCC at 0x40021000 (2.2, memory map). */
#define RCC_CR STM32_REGISTER(0x40021000u)       /* bit 8 HSION, 10 HSIRDY, 24 PLLON, 25 PLLRDY */
#define RCC_CFGR STM32_REGISTER(0x40021008u)     /* 1:0 SW, 3:2 SWS (3: the PLL), 7:4 HPRE (8: by 2) */
#define RCC_PLLCFGR STM32_REGISTER(0x4002100Cu)  /* 1:0 source (2: HSI16), 7:4 M - 1, 14:8 N, 24 R's output on, 26:25 R / 2 - 1 */
#define RCC_AHB2ENR STM32_REGISTER(0x4002104Cu)  /* bit n: port n */
#define RCC_APB1ENR1 STM32_REGISTER(0x40021058u) /* bit 17 USART2, 18 USART3, 28 PWR */
#define RCC_APB1ENR2 STM32_REGISTER(0x4002105Cu) /* bit 0 LPUART1 */
#define RCC_APB2ENR STM32_REGISTER(0x40021060u)  /* bit 14 USART1 */
/* 5.4, PWR at 0x40007000. */
#define PWR_CR2 STM32_REGISTER(0x40007004u) /* bit 9 IOSV: VDDIO2 is there */
#define PWR_CR5 STM32_REGISTER(0x40007080u) /* bit 8 R1MODE: 0 boosts range 1 (L4+) */
/* 3.7, "FLASH registers". */
#define FLASH_ACR STM32_REGISTER(0x40022000u) /* 3:0 wait states, 8 prefetch, 9 instruction cache, 10 data cache */

#define STM32_GPIO_ENABLE RCC_AHB2ENR
#define GPIO(port) ((stm32_gpio *)(0x48000000u + STM32_GPIO_STRIDE * ((port) - 'A')))

/* The UARTs' clocks are those of their buses after reset (6.4, RCC_CCIPR), and no bus is divided here. */
#if defined(EC_BOARD_LPUART)
#if EC_BOARD_LPUART != 1
#error "lpuart must be 1"
#endif
#define STM32_UART ((stm32_usart *)0x40008000u)
#define UART_ENABLE RCC_APB1ENR2
#define UART_DIVISOR stm32_lpuart_divisor
enum { UART_ENABLE_BIT = 0 };
#else
#define UART_DIVISOR stm32_usart_divisor
#if EC_BOARD_USART == 1
#define STM32_UART ((stm32_usart *)0x40013800u)
#define UART_ENABLE RCC_APB2ENR
enum { UART_ENABLE_BIT = 14 };
#elif EC_BOARD_USART == 2
#define STM32_UART ((stm32_usart *)0x40004400u)
#define UART_ENABLE RCC_APB1ENR1
enum { UART_ENABLE_BIT = 17 };
#elif EC_BOARD_USART == 3
#define STM32_UART ((stm32_usart *)0x40004800u)
#define UART_ENABLE RCC_APB1ENR1
enum { UART_ENABLE_BIT = 18 };
#else
#error "usart must be 1, 2 or 3"
#endif
#endif

static bool start_pll(void)
{
    RCC_CR |= 1u << 8;
    if (!stm32_wait(&RCC_CR, 1u << 10, 1u << 10)) {
        return false;
    }
    RCC_PLLCFGR = 2u | (EC_BOARD_PLL_M - 1u) << 4 | EC_BOARD_PLL_N << 8 | (EC_BOARD_PLL_R / 2 - 1u) << 25 | 1u << 24;
    RCC_CR |= 1u << 24;
    return stm32_wait(&RCC_CR, 1u << 25, 1u << 25);
}

/* 5.1, "Dynamic voltage scaling management": into boost mode with the AHB divided by 2, for at least a microsecond at the new clock. After
 * reset the regulator is in range 1 already, which 80 MHz need. */
static void divide_for_boost(void)
{
#if EC_BOARD_BOOST
    stm32_set_field(&RCC_CFGR, 15u << 4, 8u << 4);
    PWR_CR5 &= ~(1u << 8);
#endif
}

static void undivide(void)
{
#if EC_BOARD_BOOST
    for (volatile uint32_t i = 0; i < CORE_HZ / 2000000; i++) { /* a microsecond and more: a round is several cycles */
    }
    stm32_set_field(&RCC_CFGR, 15u << 4, 0);
#endif
}

/* 3.3, "Read access latency": the wait states first, and read back, then the faster clock. */
static bool select_pll(void)
{
    stm32_set_field(&FLASH_ACR, 15u, EC_BOARD_FLASH_WAIT_STATES);
    if (!stm32_wait(&FLASH_ACR, 15u, EC_BOARD_FLASH_WAIT_STATES)) {
        return false;
    }
    divide_for_boost();
    stm32_set_field(&RCC_CFGR, 3u, 3u);
    if (!stm32_wait(&RCC_CFGR, 3u << 2, 3u << 2)) {
        RCC_CFGR = 0;
        return false;
    }
    undivide();
    return true;
}

static stm32_clocks stm32_start_clocks(void)
{
    stm32_enable(&RCC_APB1ENR1, 28);
    FLASH_ACR |= 1u << 8 | 1u << 9 | 1u << 10;
    if (start_pll() && select_pll()) {
        return (stm32_clocks){CORE_HZ, CORE_HZ};
    }
    return (stm32_clocks){MSI_HZ, MSI_HZ};
}

static void stm32_start_uart(uint32_t clock_hz)
{
#if EC_BOARD_VDDIO2
    PWR_CR2 |= 1u << 9;
#endif
    stm32_enable(&RCC_AHB2ENR, EC_BOARD_TX_PORT - 'A');
    stm32_enable(&RCC_AHB2ENR, EC_BOARD_RX_PORT - 'A');
    stm32_enable(&UART_ENABLE, UART_ENABLE_BIT);
    stm32_usart_start(STM32_UART, UART_DIVISOR(clock_hz, EC_BOARD_BAUD), EC_BOARD_UART_FIFO);
    stm32_gpio_alternate(GPIO(EC_BOARD_TX_PORT), EC_BOARD_TX_PIN, EC_BOARD_PIN_FUNCTION);
    stm32_gpio_alternate(GPIO(EC_BOARD_RX_PORT), EC_BOARD_RX_PIN, EC_BOARD_PIN_FUNCTION);
}

#include "../stm32/port.h"
