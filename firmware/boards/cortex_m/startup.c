/* From reset to ec_app_main, on any Cortex-M; and from a fault to ec_app_fault.
 *
 * Registers are those of the Armv6-M, Armv7-M and Armv8-M Architecture Reference Manuals (DDI 0419E, DDI 0403E, DDI 0553B). */
#include "ec_port.h"
#include "profile_check.h"

#define EC_REGISTER(address) (*(volatile uint32_t *)(address))
#define SCB_VTOR EC_REGISTER(0xE000ED08u)
#define SCB_CFSR EC_REGISTER(0xE000ED28u)
#define SCB_MMFAR EC_REGISTER(0xE000ED34u)
#define SCB_BFAR EC_REGISTER(0xE000ED38u)
#define SCB_CPACR EC_REGISTER(0xE000ED88u)

/* Full access to coprocessors 10 and 11: the FPU, and MVE. */
#define CPACR_CP10_CP11 0x00F00000u

/* The fault handler needs this much stack; with less left, it starts again from the top. */
#define FAULT_STACK_BYTES 512u

/* From the linker script; all are aligned to 4 bytes. */
extern uint32_t ec_data_start[], ec_data_end[], ec_bss_start[], ec_bss_end[];
extern const uint32_t ec_data_load[];

/* Constructors of C++ objects with static storage, in the order in which they run; C has none. */
typedef void ec_constructor(void);
extern ec_constructor *const ec_constructors_start[];
extern ec_constructor *const ec_constructors_end[];

void Reset_Handler(void);
_Noreturn void ec_start(void);
void ec_fault_handler(void);
_Noreturn void ec_fault_report(const uint32_t *frame);

/* A board that widens its counter by SysTick's interrupt (cycles.h) defines it; nowhere else is that interrupt on. */
__attribute__((weak, alias("ec_fault_handler"))) void ec_systick_handler(void);

/* The 16 entries that the architecture defines. No board enables an interrupt of a device, so none are needed for them. */
__attribute__((section(".ec_vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)ec_stack_top,
    (uintptr_t)Reset_Handler,
    [2] = (uintptr_t)ec_fault_handler,     /* NMI */
    [3] = (uintptr_t)ec_fault_handler,     /* HardFault */
    [4] = (uintptr_t)ec_fault_handler,     /* MemManage */
    [5] = (uintptr_t)ec_fault_handler,     /* BusFault */
    [6] = (uintptr_t)ec_fault_handler,     /* UsageFault */
    [7] = (uintptr_t)ec_fault_handler,     /* SecureFault */
    [11] = (uintptr_t)ec_fault_handler,    /* SVCall */
    [12] = (uintptr_t)ec_fault_handler,    /* DebugMonitor */
    [14] = (uintptr_t)ec_fault_handler,    /* PendSV */
    [15] = (uintptr_t)ec_systick_handler,  /* SysTick */
};

/* Apart from Reset_Handler, because compilers vectorise these loops with MVE, and that must be on by then. */
__attribute__((noinline)) static void prepare_memory(void)
{
    const uint32_t *from = ec_data_load;
    for (uint32_t *to = ec_data_start; to < ec_data_end; to++)
        *to = *from++;
    for (uint32_t *to = ec_bss_start; to < ec_bss_end; to++)
        *to = 0;
}

static void run_constructors(void)
{
    for (ec_constructor *const *constructor = ec_constructors_start; constructor < ec_constructors_end; constructor++)
        (*constructor)();
}

/* The first instructions. They use no stack, because of chips whose RAM cannot be written before the board has powered it up.
 * Where a board has no ec_port_power_up, its address is 0. */
__attribute__((naked)) void Reset_Handler(void)
{
    __asm volatile(
        ".weak ec_port_power_up\n"
        "ldr r0, 1f\n"
        "cmp r0, #0\n"
        "beq 0f\n"
        "blx r0\n"
        "0: ldr r0, 2f\n"
        "bx r0\n"
        ".balign 4\n"
        "1: .word ec_port_power_up\n"
        "2: .word ec_start\n");
}

__attribute__((used)) _Noreturn void ec_start(void)
{
#if __ARM_ARCH >= 8
    /* A stack overflow faults at once, instead of at the end of RAM. */
    __asm volatile("msr msplim, %0" ::"r"(ec_stack_limit));
#endif
#if EC_FPU != 0 || EC_SIMD == 2
    SCB_CPACR |= CPACR_CP10_CP11;
#endif
#if __ARM_ARCH >= 7
    SCB_VTOR = (uint32_t)vectors;
#endif
    __asm volatile("dsb\n isb" ::: "memory");
    prepare_memory();
    run_constructors();
    ec_app_main();
}

/* r0 = the frame that the core pushed: r0-r3, r12, lr, pc, xpsr. Written in the subset that Armv6-M has. */
__attribute__((naked)) void ec_fault_handler(void)
{
    __asm volatile(
        "mrs r0, msp\n"
        "ldr r1, 1f\n"
        "cmp r0, r1\n"
        "bhs 0f\n"
        "ldr r1, 2f\n"
        "msr msp, r1\n"
        "0: ldr r1, 3f\n"
        "bx r1\n"
        ".balign 4\n"
        "1: .word ec_stack_limit + %c0\n"
        "2: .word ec_stack_top\n"
        "3: .word ec_fault_report\n" ::"i"(FAULT_STACK_BYTES));
}

__attribute__((used)) _Noreturn void ec_fault_report(const uint32_t *frame)
{
    ec_fault fault = {0};
    __asm volatile("mrs %0, ipsr" : "=r"(fault.exception));
    /* After an overflow the frame may never have reached memory. */
    if (frame >= ec_stack_limit && frame + 8 <= ec_stack_top) {
        fault.lr = frame[5];
        fault.pc = frame[6];
        fault.psr = frame[7];
    }
#if __ARM_ARCH >= 7
    fault.status = SCB_CFSR;
    if (fault.status & 0x00000080u)    /* MMARVALID */
        fault.address = SCB_MMFAR;
    else if (fault.status & 0x00008000u)    /* BFARVALID */
        fault.address = SCB_BFAR;
#endif
    ec_app_fault(&fault);
}
