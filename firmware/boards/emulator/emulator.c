/* The board of the in-process emulator, which plays the application itself: after start-up it takes the model's table from here, and
 * then calls the model's functions by address. So there is no driver, and no ec_port_ function. */
#include "ec_model.h"
#include "ec_port.h"

/* Start-up is over: r0 = &ec_app_model, r1 = ec_app_arena. The host never continues after it. */
_Noreturn void ec_app_main(void)
{
    register const ec_model *model __asm("r0") = &ec_app_model;
    register uint8_t *arena __asm("r1") = ec_app_arena;
    for (;;)
        __asm volatile("bkpt 0" ::"r"(model), "r"(arena));
}

/* r0 = the fault. The emulator sees most faults before the core would take them, so this is rarely reached. */
_Noreturn void ec_app_fault(const ec_fault *fault)
{
    register const ec_fault *what __asm("r0") = fault;
    for (;;)
        __asm volatile("bkpt 1" ::"r"(what));
}
