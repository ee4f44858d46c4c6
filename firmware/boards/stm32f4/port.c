/* STM32F4: 8 MHz or so from outside, or the 16 MHz oscillator inside, through the PLL to full speed; a USART with one byte of buffer.
 *
 * Manuals: RM0390 (STM32F446), RM0383 (F411), RM0090 (F405/407). Sections are those of RM0390; where the parts differ, a setting says
 * what this one wants:
 *
 *   hse_hz, hse_bypass       the external clock in hertz (0: the internal 16 MHz), and 1 when it is a signal and no crystal
 *   pll_m, pll_n, pll_p      core = source / m * n / p
 *   apb1_divider, apb2_divider, flash_wait_states
 *   vos                      the field of PWR_CR for full speed: 3 on F446 and F411, 1 (one bit) on F405
 *   overdrive                1 where PWR_CR has it and full speed needs it
 *   usart, tx_port, tx_pin, rx_port, rx_pin, pin_function, baud
 *   energy_port, energy_pin, energy_mode     optional: see stm32/energy.h */
#include "../stm32/clocks.h"
#include "../stm32/gpio.h"
#include "../stm32/registers.h"
#include "../stm32/usart_v1.h"
#include "ec_board.h"

#if !defined(EC_BOARD_HSE_HZ) || !defined(EC_BOARD_HSE_BYPASS) || !defined(EC_BOARD_PLL_M) || !defined(EC_BOARD_PLL_N) || \
    !defined(EC_BOARD_PLL_P) || !defined(EC_BOARD_APB1_DIVIDER) || !defined(EC_BOARD_APB2_DIVIDER) || \
    !defined(EC_BOARD_FLASH_WAIT_STATES) || !defined(EC_BOARD_VOS) || !defined(EC_BOARD_OVERDRIVE)
#error "an stm32f4 target sets hse_hz, hse_bypass, pll_m, pll_n, pll_p, apb1_divider, apb2_divider, flash_wait_states, vos, overdrive"
#endif
#if !defined(EC_BOARD_USART) || !defined(EC_BOARD_TX_PORT) || !defined(EC_BOARD_TX_PIN) || !defined(EC_BOARD_RX_PORT) || \
    !defined(EC_BOARD_RX_PIN) || !defined(EC_BOARD_PIN_FUNCTION) || !defined(EC_BOARD_BAUD)
#error "an stm32f4 target sets usart, tx_port, tx_pin, rx_port, rx_pin, pin_function, baud"
#endif

enum { HSI_HZ = 16000000 };

#if EC_BOARD_HSE_HZ
#define SOURCE_HZ EC_BOARD_HSE_HZ
#else
#define SOURCE_HZ 16000000u
#endif
#define VCO_INPUT_HZ (SOURCE_HZ / EC_BOARD_PLL_M)
#define VCO_HZ (VCO_INPUT_HZ * EC_BOARD_PLL_N)
#define CORE_HZ (VCO_HZ / EC_BOARD_PLL_P)

/* 6.3.2, RCC_PLLCFGR. */
#if EC_BOARD_PLL_M < 2 || EC_BOARD_PLL_M > 63 || SOURCE_HZ % EC_BOARD_PLL_M || VCO_INPUT_HZ < 950000 || VCO_INPUT_HZ > 2100000
#error "pll_m must bring the clock source to 0.95 to 2.1 MHz"
#endif
#if EC_BOARD_PLL_N < 50 || EC_BOARD_PLL_N > 432 || VCO_HZ < 100000000 || VCO_HZ > 432000000
#error "pll_n must be 50 to 432, with 100 to 432 MHz between pll_n and pll_p"
#endif
#if EC_BOARD_PLL_P != 2 && EC_BOARD_PLL_P != 4 && EC_BOARD_PLL_P != 6 && EC_BOARD_PLL_P != 8
#error "pll_p must be 2, 4, 6 or 8"
#endif
#if !STM32_PPRE_OK(EC_BOARD_APB1_DIVIDER) || !STM32_PPRE_OK(EC_BOARD_APB2_DIVIDER)
#error "apb1_divider and apb2_divider must be 1, 2, 4, 8 or 16"
#endif
/* The widest limits among these parts (DS10693, DS10314, DS8626, general operating conditions); a part's own may be tighter. */
#if CORE_HZ > 180000000 || CORE_HZ / EC_BOARD_APB1_DIVIDER > 50000000 || CORE_HZ / EC_BOARD_APB2_DIVIDER > 100000000
#error "no STM32F4 runs faster than 180 MHz, APB1 than 50 MHz, APB2 than 100 MHz"
#endif
#if CORE_HZ > 168000000 && !EC_BOARD_OVERDRIVE
#error "above 168 MHz needs overdrive = 1"
#endif
#if EC_BOARD_VOS != 1 && EC_BOARD_VOS != 3
#error "vos must be 3 (STM32F446, F411) or 1 (F405): scale 1"
#endif
/* Tables "Number of wait states according to CPU clock frequency", 2.7 to 3.6 V: one more for each 30 MHz begun, an F411 up to 32 MHz. */
#if EC_BOARD_FLASH_WAIT_STATES > 15 || CORE_HZ > 32000000 * (EC_BOARD_FLASH_WAIT_STATES + 1)
#error "flash_wait_states are too few for this clock"
#endif
#if EC_BOARD_TX_PIN > 15 || EC_BOARD_RX_PIN > 15 || EC_BOARD_PIN_FUNCTION > 15
#error "pins and pin_function are 0 to 15"
#endif

/* 6.3, "RCC registers", at 0x40023800 (2.2, memory map). */
#define RCC_CR STM32_REGISTER(0x40023800u)      /* bit 16 HSEON, 17 HSERDY, 18 HSEBYP, 24 PLLON, 25 PLLRDY */
#define RCC_PLLCFGR STM32_REGISTER(0x40023804u) /* 5:0 M, 14:6 N, 17:16 P / 2 - 1, 22 source is HSE, 27:24 Q */
#define RCC_CFGR STM32_REGISTER(0x40023808u)    /* 1:0 SW, 3:2 SWS (2: the PLL), 12:10 PPRE1, 15:13 PPRE2 */
#define RCC_AHB1ENR STM32_REGISTER(0x40023830u) /* bit n: port n */
#define RCC_APB1ENR STM32_REGISTER(0x40023840u) /* bit 17 USART2, 18 USART3, 28 PWR */
#define RCC_APB2ENR STM32_REGISTER(0x40023844u) /* bit 4 USART1, 5 USART6 */
/* 5.4, "PWR registers", at 0x40007000. */
#define PWR_CR STM32_REGISTER(0x40007000u)  /* 15:14 VOS, 16 ODEN, 17 ODSWEN */
#define PWR_CSR STM32_REGISTER(0x40007004u) /* 14 VOSRDY, 16 ODRDY, 17 ODSWRDY */
/* 3.8, "Flash interface registers". */
#define FLASH_ACR STM32_REGISTER(0x40023C00u) /* 3:0 wait states, 8 prefetch, 9 instruction cache, 10 data cache */

#define STM32_GPIO_ENABLE RCC_AHB1ENR
#define GPIO(port) ((stm32_gpio *)(0x40020000u + STM32_GPIO_STRIDE * ((port) - 'A')))

#if EC_BOARD_USART == 1
#define STM32_UART ((stm32_usart *)0x40011000u)
#define UART_ENABLE RCC_APB2ENR
#define UART_DIVIDER EC_BOARD_APB2_DIVIDER
enum { UART_ENABLE_BIT = 4 };
#elif EC_BOARD_USART == 2
#define STM32_UART ((stm32_usart *)0x40004400u)
#define UART_ENABLE RCC_APB1ENR
#define UART_DIVIDER EC_BOARD_APB1_DIVIDER
enum { UART_ENABLE_BIT = 17 };
#elif EC_BOARD_USART == 3
#define STM32_UART ((stm32_usart *)0x40004800u)
#define UART_ENABLE RCC_APB1ENR
#define UART_DIVIDER EC_BOARD_APB1_DIVIDER
enum { UART_ENABLE_BIT = 18 };
#elif EC_BOARD_USART == 6
#define STM32_UART ((stm32_usart *)0x40011400u)
#define UART_ENABLE RCC_APB2ENR
#define UART_DIVIDER EC_BOARD_APB2_DIVIDER
enum { UART_ENABLE_BIT = 5 };
#else
#error "usart must be 1, 2, 3 or 6"
#endif

/* The clock that feeds the PLL. */
static bool start_source(void)
{
#if EC_BOARD_HSE_HZ
    RCC_CR |= EC_BOARD_HSE_BYPASS << 18;
    RCC_CR |= 1u << 16;
    return stm32_wait(&RCC_CR, 1u << 17, 1u << 17);
#else
    return true; /* HSI: it is what the core runs on */
#endif
}

/* 5.1, "Entering Over-drive mode": with the PLL on and not yet selected. */
static bool start_overdrive(void)
{
#if EC_BOARD_OVERDRIVE
    PWR_CR |= 1u << 16;
    if (!stm32_wait(&PWR_CSR, 1u << 16, 1u << 16)) {
        return false;
    }
    PWR_CR |= 1u << 17;
    return stm32_wait(&PWR_CSR, 1u << 17, 1u << 17);
#else
    return true;
#endif
}

static bool start_pll(void)
{
    stm32_enable(&RCC_APB1ENR, 28);
    stm32_set_field(&PWR_CR, EC_BOARD_VOS << 14, EC_BOARD_VOS << 14); /* 5.4.1: taken while the PLL is off, acts once it is on */
    const uint32_t source = EC_BOARD_HSE_HZ ? 1u << 22 : 0;
    const uint32_t multiply = EC_BOARD_PLL_M | EC_BOARD_PLL_N << 6 | (EC_BOARD_PLL_P / 2 - 1) << 16;
    /* Bits 27:24, Q, of the unused USB clock must be at least 2; bits 30:28 keep their reset value. */
    stm32_set_field(&RCC_PLLCFGR, 0x0F437FFFu, 15u << 24 | source | multiply);
    RCC_CR |= 1u << 24;
    return start_overdrive() && stm32_wait(&RCC_CR, 1u << 25, 1u << 25) && stm32_wait(&PWR_CSR, 1u << 14, 1u << 14);
}

/* 3.4, "Relation between CPU clock frequency and Flash memory read time": the wait states first, and read back, then the faster clock. */
static bool select_pll(void)
{
    stm32_set_field(&FLASH_ACR, 15u, EC_BOARD_FLASH_WAIT_STATES);
    if (!stm32_wait(&FLASH_ACR, 15u, EC_BOARD_FLASH_WAIT_STATES)) {
        return false;
    }
    stm32_set_field(&RCC_CFGR, 0xFCF0u, STM32_PPRE(EC_BOARD_APB1_DIVIDER) << 10 | STM32_PPRE(EC_BOARD_APB2_DIVIDER) << 13);
    stm32_set_field(&RCC_CFGR, 3u, 2u);
    if (!stm32_wait(&RCC_CFGR, 3u << 2, 2u << 2)) {
        RCC_CFGR = 0;
        return false;
    }
    return true;
}

static stm32_clocks stm32_start_clocks(void)
{
    FLASH_ACR |= 1u << 8 | 1u << 9 | 1u << 10;
    if (start_source() && start_pll() && select_pll()) {
        return (stm32_clocks){CORE_HZ, CORE_HZ / UART_DIVIDER};
    }
    return (stm32_clocks){HSI_HZ, HSI_HZ};
}

static void stm32_start_uart(uint32_t clock_hz)
{
    stm32_enable(&RCC_AHB1ENR, EC_BOARD_TX_PORT - 'A');
    stm32_enable(&RCC_AHB1ENR, EC_BOARD_RX_PORT - 'A');
    stm32_enable(&UART_ENABLE, UART_ENABLE_BIT);
    stm32_usart_start(STM32_UART, clock_hz, EC_BOARD_BAUD);
    stm32_gpio_alternate(GPIO(EC_BOARD_TX_PORT), EC_BOARD_TX_PIN, EC_BOARD_PIN_FUNCTION);
    stm32_gpio_alternate(GPIO(EC_BOARD_RX_PORT), EC_BOARD_RX_PIN, EC_BOARD_PIN_FUNCTION);
}

#include "../stm32/port.h"
