/* The port: all that a board, the shared Cortex-M start-up, the build and an application know of each other.
 *
 *   boards/cortex_m  vector table, Reset_Handler: FPU and MVE on, .data, .bss, then ec_app_main; faults to ec_app_fault
 *   boards/<board>   the ec_port_ functions
 *   application      the ec_app_ functions: firmware/app (serial), or boards/emulator, where the host plays the application
 *   build            the linker script's symbols, and app_model.c with ec_app_model, ec_app_arena and ec_app_target
 *
 * One thread, polled: no board enables an interrupt but SysTick's, which only widens a counter (boards/cortex_m/cycles.h), and nothing
 * here is called from one except ec_app_fault (which may use ec_port_try_putc). */
#ifndef EC_PORT_H
#define EC_PORT_H

#include "ec_types.h"

#ifdef __cplusplus
#define EC_NORETURN [[noreturn]]
extern "C" {
#else
#define EC_NORETURN _Noreturn
#endif

/* ---- the board implements ---- */

/* Clocks, the UART and the counter. Called once by ec_app_main, before any other ec_port_ function. Waits for hardware are bounded. */
void ec_port_init(void);

/* Only for a board whose RAM cannot be written right after reset, which nothing else may do before: it uses no stack. Optional. */
void ec_port_power_up(void);

/* The next received byte, 0 to 255, or -1 when none has arrived. Never waits: the application polls it inside its longer loops, so that
 * a UART without a FIFO loses nothing while a reply is sent. */
int ec_port_try_getc(void);

/* Hand one byte to the UART; false when it has no room yet. Never waits. */
bool ec_port_try_putc(uint8_t byte);

/* A counter that only grows: a core cycle counter or a timer, widened to 64 bits. It is read at least once per half wrap of the
 * hardware counter, except inside an inference: a board whose 32-bit counter can wrap there must extend it itself. */
uint64_t ec_port_ticks(void);

/* Ticks in a second; never 0. */
uint32_t ec_port_ticks_hz(void);

/* Core clock in hertz; 0 when there is none that means anything: under QEMU, whose time is made of instructions. Where it equals
 * ec_port_ticks_hz, ticks are core cycles. */
uint32_t ec_port_clock_hz(void);

/* Optional: pull the pin of MLPerf Tiny's energy mode low, or release it. False where there is none. */
bool ec_port_set_energy_pin(bool released);

/* Optional: whether MLPerf Tiny's energy mode was asked for, where pulses of that pin stand for printed times. */
bool ec_port_is_in_energy_mode(void);

/* ---- the application implements ---- */

/* Runs for ever. Main stack, privileged. */
EC_NORETURN void ec_app_main(void);

/* What the core knew when it stopped. */
typedef struct {
    uint32_t exception; /* IPSR: 2 NMI, 3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault, ... */
    uint32_t pc, lr, psr;
    uint32_t status;    /* CFSR; 0 on ARMv6-M, which has none */
    uint32_t address;   /* MMFAR or BFAR where CFSR says it is valid, else 0 */
} ec_fault;

/* The last call of a dying program, from the fault handler. */
EC_NORETURN void ec_app_fault(const ec_fault *fault);

/* ---- the build provides ---- */

extern const char ec_app_target[];    /* the target's name, "qemu-mps2-an386" */

/* The application's copies of all inputs, from which it restores them before a run: one after another, each rounded up to a multiple
 * of 16 bytes, aligned to 16 bytes. */
extern uint8_t ec_app_inputs[];

/* The stack's region: [ec_stack_limit, ec_stack_top). The arena and the stack are neither zeroed nor loaded at start-up. */
extern uint32_t ec_stack_limit[];
extern uint32_t ec_stack_top[];

#ifdef __cplusplus
}
#endif
#endif
