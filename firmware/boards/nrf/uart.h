/* UART0 of the nRF51 and nRF52 series, polled, 8 bits and no parity: six bytes of buffer for what arrives, one for what is sent.
 *
 * nRF51 Series Reference Manual v3.0 and nRF52840 Product Specification v1.11, chapters UART: the same registers. (The nRF52840's manual
 * calls this unit deprecated in favour of UARTE at the same address, which moves bytes by DMA and tells of them when a buffer is full.)
 *
 * A target sets tx_pin, rx_pin and baud; pins 32 and above are P1.00 and above, on parts that have a second port. */
#ifndef EC_NRF_UART_H
#define EC_NRF_UART_H

#include "ec_board.h"
#include "registers.h"

#if !defined(EC_BOARD_TX_PIN) || !defined(EC_BOARD_RX_PIN) || !defined(EC_BOARD_BAUD)
#error "an nrf51 or nrf52 target sets tx_pin, rx_pin and baud"
#endif
#if EC_BOARD_TX_PIN >= NRF_PINS || EC_BOARD_RX_PIN >= NRF_PINS || EC_BOARD_TX_PIN == EC_BOARD_RX_PIN
#error "tx_pin and rx_pin are two different pins that the part has"
#endif

/* BAUDRATE: the manual's own values, from its table of that register. */
#if EC_BOARD_BAUD == 9600
#define NRF_BAUDRATE 0x00275000u
#elif EC_BOARD_BAUD == 38400
#define NRF_BAUDRATE 0x009D5000u
#elif EC_BOARD_BAUD == 57600
#define NRF_BAUDRATE 0x00EBF000u
#elif EC_BOARD_BAUD == 115200
#define NRF_BAUDRATE 0x01D7E000u
#elif EC_BOARD_BAUD == 230400
#define NRF_BAUDRATE 0x03AFB000u
#elif EC_BOARD_BAUD == 460800
#define NRF_BAUDRATE 0x075F7000u
#elif EC_BOARD_BAUD == 1000000
#define NRF_BAUDRATE 0x10000000u
#else
#error "baud must be 9600, 38400, 57600, 115200, 230400, 460800 or 1000000"
#endif

#define NRF_UART_STARTRX NRF_REGISTER(0x40002000u)
#define NRF_UART_STARTTX NRF_REGISTER(0x40002008u)
#define NRF_UART_RXDRDY NRF_REGISTER(0x40002108u)   /* event: a byte can be read */
#define NRF_UART_TXDRDY NRF_REGISTER(0x4000211Cu)   /* event: the byte is out */
#define NRF_UART_ENABLE NRF_REGISTER(0x40002500u)   /* 4: this unit (8 would be the nRF52's UARTE) */
#define NRF_UART_PSELRTS NRF_REGISTER(0x40002508u)
#define NRF_UART_PSELTXD NRF_REGISTER(0x4000250Cu)
#define NRF_UART_PSELCTS NRF_REGISTER(0x40002510u)
#define NRF_UART_PSELRXD NRF_REGISTER(0x40002514u)
#define NRF_UART_RXD NRF_REGISTER(0x40002518u)
#define NRF_UART_TXD NRF_REGISTER(0x4000251Cu)
#define NRF_UART_BAUDRATE NRF_REGISTER(0x40002524u)
#define NRF_UART_CONFIG NRF_REGISTER(0x4000256Cu)   /* bit 0 flow control, bits 3:1 parity */

/* The same manuals, chapters GPIO. The second port lies 0x300 further on. */
#define NRF_GPIO(pin) (0x50000000u + 0x300u * ((pin) / 32u))
#define NRF_GPIO_OUTSET(pin) NRF_REGISTER(NRF_GPIO(pin) + 0x508u)
#define NRF_GPIO_PIN_CNF(pin) NRF_REGISTER(NRF_GPIO(pin) + 0x700u + 4u * ((pin) % 32u))
/* PIN_CNF: bit 0 output, bit 1 input buffer off, bits 3:2 pull (3: up). */
enum { NRF_PIN_OUTPUT = 1u << 0 | 1u << 1, NRF_PIN_INPUT_PULLED_UP = 3u << 2 };

static bool nrf_uart_sending;

static inline void nrf_uart_start(void)
{
    /* Both lines idle high, also while the unit is off (section "Pin configuration"). */
    NRF_GPIO_OUTSET(EC_BOARD_TX_PIN) = 1u << (EC_BOARD_TX_PIN % 32u);
    NRF_GPIO_PIN_CNF(EC_BOARD_TX_PIN) = NRF_PIN_OUTPUT;
    NRF_GPIO_PIN_CNF(EC_BOARD_RX_PIN) = NRF_PIN_INPUT_PULLED_UP;
    NRF_UART_PSELRTS = UINT32_MAX; /* not connected */
    NRF_UART_PSELCTS = UINT32_MAX;
    NRF_UART_PSELTXD = EC_BOARD_TX_PIN;
    NRF_UART_PSELRXD = EC_BOARD_RX_PIN;
    NRF_UART_BAUDRATE = NRF_BAUDRATE;
    NRF_UART_CONFIG = 0;
    NRF_UART_ENABLE = 4;
    NRF_UART_RXDRDY = 0;
    NRF_UART_TXDRDY = 0;
    NRF_UART_STARTTX = 1;
    NRF_UART_STARTRX = 1;
}

/* The event comes again after RXD was read when more bytes wait: so it is cleared first (section "Reception"). */
static inline int nrf_uart_try_getc(void)
{
    if (NRF_UART_RXDRDY == 0) {
        return -1;
    }
    NRF_UART_RXDRDY = 0;
    return (int)(NRF_UART_RXD & 0xffu);
}

static inline bool nrf_uart_try_putc(uint8_t byte)
{
    if (nrf_uart_sending && NRF_UART_TXDRDY == 0) {
        return false;
    }
    NRF_UART_TXDRDY = 0;
    NRF_UART_TXD = byte;
    nrf_uart_sending = true;
    return true;
}

#endif
