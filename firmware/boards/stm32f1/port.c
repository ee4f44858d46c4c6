/* STM32F1 value line (STM32F100): a crystal through the PLL to 24 MHz; a USART with one byte of buffer.
 *
 * Manual: RM0041, whose sections are named here. The value line's flash needs no wait states and its bus no slower half:
 *
 *   hse_hz, hse_bypass       the external clock in hertz (0: half of the internal 8 MHz), and 1 when it is a signal and no crystal
 *   pll_multiplier           core = source * pll_multiplier
 *   usart, tx_pin, rx_pin    number and pins (of port A) of the USART; baud */
#include "../stm32/clocks.h"
#include "../stm32/registers.h"
#include "../stm32/usart_v1.h"
#include "ec_board.h"

#if !defined(EC_BOARD_HSE_HZ) || !defined(EC_BOARD_HSE_BYPASS) || !defined(EC_BOARD_PLL_MULTIPLIER)
#error "an stm32f1 target sets hse_hz, hse_bypass, pll_multiplier"
#endif
#if !defined(EC_BOARD_USART) || !defined(EC_BOARD_TX_PIN) || !defined(EC_BOARD_RX_PIN) || !defined(EC_BOARD_BAUD)
#error "an stm32f1 target sets usart, tx_pin, rx_pin, baud"
#endif

enum { HSI_HZ = 8000000 };

#if EC_BOARD_HSE_HZ
#define SOURCE_HZ EC_BOARD_HSE_HZ
#else
#define SOURCE_HZ 4000000u
#endif
#define CORE_HZ (SOURCE_HZ * EC_BOARD_PLL_MULTIPLIER)

/* 6.3.2, RCC_CFGR: PLLMUL. */
#if EC_BOARD_PLL_MULTIPLIER < 2 || EC_BOARD_PLL_MULTIPLIER > 16
#error "pll_multiplier must be 2 to 16"
#endif
#if CORE_HZ < 16000000 || CORE_HZ > 24000000
#error "the PLL of the value line gives 16 to 24 MHz"
#endif

/* 2.3, memory map: RCC at 0x40021000. */
#define RCC_CR STM32_REGISTER(0x40021000u)      /* bit 16 HSEON, 17 HSERDY, 18 HSEBYP, 24 PLLON, 25 PLLRDY */
#define RCC_CFGR STM32_REGISTER(0x40021004u)    /* 1:0 SW, 3:2 SWS (2: the PLL), 16 PLLSRC, 21:18 PLLMUL */
#define RCC_APB2ENR STM32_REGISTER(0x40021018u) /* bit 2 port A, 14 USART1 */
#define RCC_APB1ENR STM32_REGISTER(0x4002101Cu) /* bit 17 USART2 */

#if EC_BOARD_USART == 1
#define STM32_UART ((stm32_usart *)0x40013800u)
#define UART_ENABLE RCC_APB2ENR
enum { UART_ENABLE_BIT = 14 };
#if EC_BOARD_TX_PIN != 9 || EC_BOARD_RX_PIN != 10
#error "USART1 without remapping is at pins 9 and 10 of port A"
#endif
#elif EC_BOARD_USART == 2
#define STM32_UART ((stm32_usart *)0x40004400u)
#define UART_ENABLE RCC_APB1ENR
enum { UART_ENABLE_BIT = 17 };
#if EC_BOARD_TX_PIN != 2 || EC_BOARD_RX_PIN != 3
#error "USART2 without remapping is at pins 2 and 3 of port A"
#endif
#else
#error "usart must be 1 or 2"
#endif

/* 7.2, GPIO port A: four bits a pin in CRL (pins 0 to 7) and CRH. */
#define GPIOA_CR(pin) STM32_REGISTER(0x40010800u + 4 * ((pin) / 8))
#define GPIOA_BSRR STM32_REGISTER(0x40010810u)
enum { PIN_SENDS = 0xB, PIN_RECEIVES = 0x8 }; /* alternate function push-pull, up to 50 MHz; input pulled to its output bit */

static void set_pin(uint32_t pin, uint32_t as)
{
    const uint32_t at = 4 * (pin % 8);
    stm32_set_field(&GPIOA_CR(pin), 15u << at, as << at);
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

/* 6.2.3: source and factor while the PLL is off. PREDIV1 (RCC_CFGR2) divides by 1 after reset. */
static bool select_pll(void)
{
    const uint32_t source = EC_BOARD_HSE_HZ ? 1u << 16 : 0;
    stm32_set_field(&RCC_CFGR, 0x3F0000u, (EC_BOARD_PLL_MULTIPLIER - 2u) << 18 | source);
    RCC_CR |= 1u << 24;
    if (!stm32_wait(&RCC_CR, 1u << 25, 1u << 25)) {
        return false;
    }
    stm32_set_field(&RCC_CFGR, 3u, 2u);
    if (!stm32_wait(&RCC_CFGR, 3u << 2, 2u << 2)) {
        RCC_CFGR = 0;
        return false;
    }
    return true;
}

static stm32_clocks stm32_start_clocks(void)
{
    if (start_source() && select_pll()) {
        return (stm32_clocks){CORE_HZ, CORE_HZ};
    }
    return (stm32_clocks){HSI_HZ, HSI_HZ};
}

static void stm32_start_uart(uint32_t clock_hz)
{
    stm32_enable(&RCC_APB2ENR, 2);
    stm32_enable(&UART_ENABLE, UART_ENABLE_BIT);
    stm32_usart_start(STM32_UART, clock_hz, EC_BOARD_BAUD);
    set_pin(EC_BOARD_TX_PIN, PIN_SENDS);
    GPIOA_BSRR = 1u << EC_BOARD_RX_PIN; /* pulled up: an open pin idles */
    set_pin(EC_BOARD_RX_PIN, PIN_RECEIVES);
}

#include "../stm32/port.h"
