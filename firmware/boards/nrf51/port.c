/* nRF51: 16 MHz from a crystal, UART0, and TIMER0 as the counter, because this Cortex-M0 has neither SysTick nor a cycle counter.
 *
 * TIMER0 is 32 bits wide and counts the core's 16 MHz, so it wraps after 268 s. Each wrap is an event that the chip's event system (PPI)
 * hands to TIMER1, which counts it: no interrupt, no code. TIMER1 has 16 bits: together they wrap after 203 days, and are widened to 64
 * bits where they are read. An emulator has no PPI. There only the readings themselves see wraps, so that one inference must be shorter
 * than 268 s of the emulator's time (2.1 thousand million instructions at 128 ns each): a model in 16 KB of RAM is far from it.
 *
 * nRF51 Series Reference Manual v3.0; addresses from its table of instances. */
#define NRF_PINS 32
#include "../nrf/uart.h"
#include "ec_port.h"

enum { CORE_HZ = 16000000 };

/* Chapter TIMER. */
typedef struct {
    volatile uint32_t start;        /* 0x000: tasks */
    volatile uint32_t stop;
    volatile uint32_t count;        /* 0x008: one step, in counter mode */
    volatile uint32_t clear;
    uint32_t reserved0[12];
    volatile uint32_t capture[4];   /* 0x040: the count goes to compare[n] */
    uint32_t reserved1[60];
    volatile uint32_t compared[4];  /* 0x140: events, the count is compare[n] */
    uint32_t reserved2[237];
    volatile uint32_t mode;         /* 0x504: 0 timer, 1 counter */
    volatile uint32_t width;        /* 0x508 BITMODE: 0 is 16 bits, 3 is 32 */
    uint32_t reserved3;
    volatile uint32_t prescaler;    /* 0x510: 2^n */
    uint32_t reserved4[11];
    volatile uint32_t compare[4];   /* 0x540 CC */
} nrf51_timer;

_Static_assert(offsetof(nrf51_timer, compared) == 0x140 && offsetof(nrf51_timer, mode) == 0x504, "registers of the timer");
_Static_assert(offsetof(nrf51_timer, compare) == 0x540, "registers of the timer");

#define FINE ((nrf51_timer *)0x40008000u)   /* TIMER0, the only one with 32 bits */
#define COARSE ((nrf51_timer *)0x40009000u) /* TIMER1 */

/* Chapter PPI: channel 0. */
#define PPI_CHENSET NRF_REGISTER(0x4001F504u)
#define PPI_CH0_EEP NRF_REGISTER(0x4001F510u) /* the address of an event */
#define PPI_CH0_TEP NRF_REGISTER(0x4001F514u) /* the address of the task that it starts */

/* `compare[0]` of the fine timer makes the event, so readings go to another one. */
enum { AT_EVENT = 0, AT_READING = 1, COARSE_BITS = 16 };

static bool wraps_are_counted;

static uint32_t reading(nrf51_timer *timer)
{
    timer->capture[AT_READING] = 1;
    return timer->compare[AT_READING];
}

/* Whether an event reaches the coarse timer: one is set some ticks ahead, and given a hundred times as long. */
static bool event_arrives(void)
{
    enum { AHEAD_TICKS = 256, ROUNDS = 4096 };
    FINE->compare[AT_EVENT] = reading(FINE) + AHEAD_TICKS;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (reading(COARSE) != 0) {
            return true;
        }
    }
    return false;
}

static void start_counter(void)
{
    FINE->mode = 0;
    FINE->width = 3;
    FINE->prescaler = 0;
    COARSE->mode = 1;
    COARSE->width = 0;
    PPI_CH0_EEP = (uint32_t)(uintptr_t)&FINE->compared[AT_EVENT];
    PPI_CH0_TEP = (uint32_t)(uintptr_t)&COARSE->count;
    PPI_CHENSET = 1u << 0;
    FINE->clear = 1;
    COARSE->clear = 1;
    COARSE->start = 1;
    FINE->start = 1;
    wraps_are_counted = event_arrives();
    FINE->compare[AT_EVENT] = 0; /* from now on: at each wrap */
    COARSE->clear = 1;
}

void ec_port_init(void)
{
    nrf_start_crystal();
    nrf_uart_start();
    start_counter();
}

int ec_port_try_getc(void)
{
    return nrf_uart_try_getc();
}

bool ec_port_try_putc(uint8_t byte)
{
    return nrf_uart_try_putc(byte);
}

/* The fine timer between two equal readings of the coarse one. A wrap reaches the coarse one within a few cycles, sooner than its second
 * reading; so a fine reading that wrapped alone is taken again. */
uint64_t ec_port_ticks(void)
{
    static uint32_t wraps, last_fine;
    uint32_t fine, coarse, again = reading(COARSE);
    do {
        coarse = again;
        fine = reading(FINE);
        again = reading(COARSE);
    } while (coarse != again);
    if (wraps_are_counted) {
        wraps += (coarse - wraps) & ((1u << COARSE_BITS) - 1);
    } else {
        wraps += fine < last_fine;
    }
    last_fine = fine;
    return (uint64_t)wraps << 32 | fine;
}

uint32_t ec_port_ticks_hz(void)
{
    return CORE_HZ;
}

uint32_t ec_port_clock_hz(void)
{
    return wraps_are_counted ? CORE_HZ : 0;
}
