/* STM32H742/743/753: an external clock through PLL1 to 400 MHz in voltage scale 1, both caches on; a USART with FIFOs.
 *
 * 480 MHz (scale 0) are left alone: only parts of revision V and later have them.
 * Manual: RM0433, whose sections are named here. Settings of a target:
 *
 *   hse_hz, hse_bypass       the external clock in hertz (0: the internal 64 MHz), and 1 when it is a signal and no crystal
 *   pll_m, pll_n, pll_p      core = source / m * n / p
 *   ahb_divider, apb_divider the buses: AHB and AXI = core / ahb_divider, each APB = AHB / apb_divider
 *   flash_wait_states, flash_signal_delay    LATENCY and WRHIGHFREQ of FLASH_ACR
 *   usart, tx_port, tx_pin, rx_port, rx_pin, pin_function, baud */
#include "../stm32/clocks.h"
#include "../stm32/gpio.h"
#include "../stm32/registers.h"
#include "../stm32/usart_v2.h"
#include "caches.h"
#include "ec_board.h"
#include "ec_port.h"

#if !defined(EC_BOARD_HSE_HZ) || !defined(EC_BOARD_HSE_BYPASS) || !defined(EC_BOARD_PLL_M) || !defined(EC_BOARD_PLL_N) || \
    !defined(EC_BOARD_PLL_P) || !defined(EC_BOARD_AHB_DIVIDER) || !defined(EC_BOARD_APB_DIVIDER) || \
    !defined(EC_BOARD_FLASH_WAIT_STATES) || !defined(EC_BOARD_FLASH_SIGNAL_DELAY)
#error "an stm32h7 target sets hse_hz, hse_bypass, pll_m, pll_n, pll_p, ahb_divider, apb_divider, flash_wait_states, flash_signal_delay"
#endif
#if !defined(EC_BOARD_USART) || !defined(EC_BOARD_TX_PORT) || !defined(EC_BOARD_TX_PIN) || !defined(EC_BOARD_RX_PORT) || \
    !defined(EC_BOARD_RX_PIN) || !defined(EC_BOARD_PIN_FUNCTION) || !defined(EC_BOARD_BAUD)
#error "an stm32h7 target sets usart, tx_port, tx_pin, rx_port, rx_pin, pin_function, baud"
#endif

enum { HSI_HZ = 64000000 }; /* the reset clock: 8.7.2, HSIDIV */

#if EC_BOARD_HSE_HZ
#define SOURCE_HZ EC_BOARD_HSE_HZ
#else
#define SOURCE_HZ 64000000u
#endif
#define VCO_INPUT_HZ (SOURCE_HZ / EC_BOARD_PLL_M)
#define VCO_HZ (VCO_INPUT_HZ * EC_BOARD_PLL_N)
#define CORE_HZ (VCO_HZ / EC_BOARD_PLL_P)
#define AHB_HZ (CORE_HZ / EC_BOARD_AHB_DIVIDER)
#define APB_HZ (AHB_HZ / EC_BOARD_APB_DIVIDER)

/* 8.7.11 to 8.7.13, RCC_PLLCKSELR, RCC_PLLCFGR, RCC_PLL1DIVR: the wide oscillator wants 2 to 16 MHz and gives 192 to 836 MHz. */
#if EC_BOARD_PLL_M < 1 || EC_BOARD_PLL_M > 63 || SOURCE_HZ % EC_BOARD_PLL_M || VCO_INPUT_HZ < 2000000 || VCO_INPUT_HZ > 16000000
#error "pll_m must bring the clock source to 2 to 16 MHz"
#endif
#if EC_BOARD_PLL_N < 4 || EC_BOARD_PLL_N > 512 || VCO_INPUT_HZ > 836000000 / EC_BOARD_PLL_N || VCO_HZ < 192000000
#error "pll_n must be 4 to 512, with 192 to 836 MHz between pll_n and pll_p"
#endif
#if EC_BOARD_PLL_P < 2 || EC_BOARD_PLL_P > 128 || EC_BOARD_PLL_P % 2
#error "pll_p must be even, 2 to 128"
#endif
#if (EC_BOARD_AHB_DIVIDER != 1 && EC_BOARD_AHB_DIVIDER != 2) || !STM32_PPRE_OK(EC_BOARD_APB_DIVIDER)
#error "ahb_divider must be 1 or 2, apb_divider 1, 2, 4, 8 or 16"
#endif
/* Data sheet DS12110, table "General operating conditions", scale 1. */
#if CORE_HZ > 400000000 || AHB_HZ > 200000000 || APB_HZ > 100000000
#error "scale 1 allows 400 MHz for the core, 200 MHz for the AHB and 100 MHz for the APBs"
#endif
#if EC_BOARD_FLASH_WAIT_STATES > 15 || EC_BOARD_FLASH_SIGNAL_DELAY > 3
#error "flash_wait_states are 0 to 15, flash_signal_delay 0 to 3"
#endif
#if EC_BOARD_TX_PIN > 15 || EC_BOARD_RX_PIN > 15 || EC_BOARD_PIN_FUNCTION > 15
#error "pins and pin_function are 0 to 15"
#endif

/* 8.7.12: PLL1RGE. */
#if VCO_INPUT_HZ >= 8000000
enum { PLL_INPUT_RANGE = 3 };
#elif VCO_INPUT_HZ >= 4000000
enum { PLL_INPUT_RANGE = 2 };
#else
enum { PLL_INPUT_RANGE = 1 };
#endif

/* 8.7, RCC at 0x58024400 (2.3.2, memory map). */
#define RCC_CR STM32_REGISTER(0x58024400u)        /* bit 16 HSEON, 17 HSERDY, 18 HSEBYP, 24 PLL1ON, 25 PLL1RDY */
#define RCC_CFGR STM32_REGISTER(0x58024410u)      /* 2:0 SW, 5:3 SWS (3: PLL1) */
#define RCC_D1CFGR STM32_REGISTER(0x58024418u)    /* 3:0 HPRE (8: by 2), 6:4 D1PPRE, 11:8 D1CPRE */
#define RCC_D2CFGR STM32_REGISTER(0x5802441Cu)    /* 6:4 D2PPRE1, 10:8 D2PPRE2 */
#define RCC_D3CFGR STM32_REGISTER(0x58024420u)    /* 6:4 D3PPRE */
#define RCC_PLLCKSELR STM32_REGISTER(0x58024428u) /* 1:0 source (0 HSI, 2 HSE), 9:4 M of PLL1 */
#define RCC_PLLCFGR STM32_REGISTER(0x5802442Cu)   /* 0 fraction, 1 medium oscillator, 3:2 input range, 16 P's output on; all of PLL1 */
#define RCC_PLL1DIVR STM32_REGISTER(0x58024430u)  /* 8:0 N - 1, 15:9 P - 1 */
#define RCC_AHB4ENR STM32_REGISTER(0x580244E0u)   /* bit n: port n */
#define RCC_APB1LENR STM32_REGISTER(0x580244E8u)  /* bit 17 USART2, 18 USART3 */
#define RCC_APB2ENR STM32_REGISTER(0x580244F0u)   /* bit 4 USART1 */
/* 6.8, PWR at 0x58024800. */
#define PWR_CSR1 STM32_REGISTER(0x58024804u) /* bit 13 ACTVOSRDY */
#define PWR_CR3 STM32_REGISTER(0x5802480Cu)  /* bit 0 BYPASS, 1 LDOEN, 2 SCUEN */
#define PWR_D3CR STM32_REGISTER(0x58024818u) /* bit 13 VOSRDY, 15:14 VOS (3: scale 1) */
/* 4.9, "FLASH registers". Latencies: table 17. */
#define FLASH_ACR STM32_REGISTER(0x52002000u) /* 3:0 LATENCY, 5:4 WRHIGHFREQ */

#define GPIO(port) ((stm32_gpio *)(0x58020000u + STM32_GPIO_STRIDE * ((port) - 'A')))

/* The USARTs' clocks are those of their buses after reset (8.7.21, RCC_D2CCIP2R). */
#if EC_BOARD_USART == 1
#define STM32_UART ((stm32_usart *)0x40011000u)
#define UART_ENABLE RCC_APB2ENR
enum { UART_ENABLE_BIT = 4 };
#elif EC_BOARD_USART == 2
#define STM32_UART ((stm32_usart *)0x40004400u)
#define UART_ENABLE RCC_APB1LENR
enum { UART_ENABLE_BIT = 17 };
#elif EC_BOARD_USART == 3
#define STM32_UART ((stm32_usart *)0x40004800u)
#define UART_ENABLE RCC_APB1LENR
enum { UART_ENABLE_BIT = 18 };
#else
#error "usart must be 1, 2 or 3"
#endif

/* 6.4.1, "System supply startup": after power-on the supply is chosen by one write, and only then may RAM be written and the voltage
 * scaled; so this runs before .data is copied, and uses no stack. The LDO is what the boards here have. */
void ec_port_power_up(void)
{
    stm32_set_field(&PWR_CR3, 7u, 2u);
    (void)stm32_wait(&PWR_CSR1, 1u << 13, 1u << 13);
}

/* 6.4.1: not to be changed while ACTVOSRDY says that the levels are invalid. */
static bool start_voltage_scale_1(void)
{
    if ((PWR_CSR1 & 1u << 13) == 0) {
        return false;
    }
    stm32_set_field(&PWR_D3CR, 3u << 14, 3u << 14);
    return stm32_wait(&PWR_D3CR, 1u << 13, 1u << 13);
}

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

static bool start_pll(void)
{
    stm32_set_field(&RCC_PLLCKSELR, 0x3F3u, EC_BOARD_PLL_M << 4 | (EC_BOARD_HSE_HZ ? 2u : 0u));
    /* Of PLL1's outputs only P, without fraction; the fields of the other PLLs keep their values. */
    stm32_set_field(&RCC_PLLCFGR, 0x7000Fu, 1u << 16 | (uint32_t)PLL_INPUT_RANGE << 2);
    stm32_set_field(&RCC_PLL1DIVR, 0xFFFFu, (EC_BOARD_PLL_N - 1u) | (EC_BOARD_PLL_P - 1u) << 9);
    RCC_CR |= 1u << 24;
    return stm32_wait(&RCC_CR, 1u << 25, 1u << 25);
}

static void divide_buses(void)
{
    const uint32_t apb = STM32_PPRE(EC_BOARD_APB_DIVIDER);
    stm32_set_field(&RCC_D1CFGR, 0xF7Fu, (EC_BOARD_AHB_DIVIDER == 2 ? 8u : 0u) | apb << 4);
    stm32_set_field(&RCC_D2CFGR, 0x770u, apb << 4 | apb << 8);
    stm32_set_field(&RCC_D3CFGR, 0x70u, apb << 4);
}

/* 4.3, "Read access latency": the wait states first, and read back, then the faster clock. */
static bool select_pll(void)
{
    const uint32_t access = EC_BOARD_FLASH_WAIT_STATES | EC_BOARD_FLASH_SIGNAL_DELAY << 4;
    stm32_set_field(&FLASH_ACR, 0x3Fu, access);
    if (!stm32_wait(&FLASH_ACR, 0x3Fu, access)) {
        return false;
    }
    divide_buses();
    stm32_set_field(&RCC_CFGR, 7u, 3u);
    if (stm32_wait(&RCC_CFGR, 7u << 3, 3u << 3)) {
        return true;
    }
    RCC_CFGR = 0;
    RCC_D1CFGR = 0;
    RCC_D2CFGR = 0;
    RCC_D3CFGR = 0;
    return false;
}

static stm32_clocks stm32_start_clocks(void)
{
    m7_caches_start();
    if (start_voltage_scale_1() && start_source() && start_pll() && select_pll()) {
        return (stm32_clocks){CORE_HZ, APB_HZ};
    }
    return (stm32_clocks){HSI_HZ, HSI_HZ};
}

static void stm32_start_uart(uint32_t clock_hz)
{
    stm32_enable(&RCC_AHB4ENR, EC_BOARD_TX_PORT - 'A');
    stm32_enable(&RCC_AHB4ENR, EC_BOARD_RX_PORT - 'A');
    stm32_enable(&UART_ENABLE, UART_ENABLE_BIT);
    stm32_usart_start(STM32_UART, stm32_usart_divisor(clock_hz, EC_BOARD_BAUD), true);
    stm32_gpio_alternate(GPIO(EC_BOARD_TX_PORT), EC_BOARD_TX_PIN, EC_BOARD_PIN_FUNCTION);
    stm32_gpio_alternate(GPIO(EC_BOARD_RX_PORT), EC_BOARD_RX_PIN, EC_BOARD_PIN_FUNCTION);
}

#include "../stm32/port.h"
