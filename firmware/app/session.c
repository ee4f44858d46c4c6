#include "session.h"

#include "ec_port.h"

#define NOINLINE __attribute__((noinline))

static int status = EC_ERROR_INVOKE;
static bool has_outputs;
static uint32_t ready_inputs; /* bit i: the copy of input i is complete */

static uint32_t round_up_16(uint32_t bytes)
{
    return (bytes + 15u) & ~15u;
}

int ec_session_init(void)
{
    has_outputs = false;
    status = ec_app_model.init(ec_app_arena, ec_app_model.arena_bytes);
    return status;
}

int ec_session_status(void)
{
    return status;
}

bool ec_session_has_outputs(void)
{
    return has_outputs;
}

uint8_t *ec_session_input(uint32_t index)
{
    if (index >= ec_app_model.input_count) {
        return NULL;
    }
    uint8_t *copy = ec_app_inputs;
    for (uint32_t i = 0; i < index; i++) {
        copy += round_up_16(ec_app_model.inputs[i].bytes);
    }
    return copy;
}

void ec_session_set_ready(uint32_t index, bool ready)
{
    const uint32_t bit = 1u << (index & 31);
    ready_inputs = ready ? ready_inputs | bit : ready_inputs & ~bit;
}

bool ec_session_ready(void)
{
    const uint32_t count = ec_app_model.input_count;
    const uint32_t all = count >= 32 ? UINT32_MAX : (1u << count) - 1;
    return (ready_inputs & all) == all;
}

static void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
    while (bytes--) {
        *to++ = *from++;
    }
}

static void restore_inputs(void)
{
    has_outputs = false;
    for (uint32_t i = 0; i < ec_app_model.input_count; i++) {
        copy_bytes(ec_app_model.input(ec_app_arena, (int)i), ec_session_input(i), ec_app_model.inputs[i].bytes);
    }
}

#define UNUSED __attribute__((unused))

/* One instruction, which returns: what is left of a reading when it is taken off. Nobody looks at the results. */
__attribute__((naked)) static int do_nothing(void *arena UNUSED)
{
    __asm__ volatile("bx lr");
}

__attribute__((naked)) static int do_no_step(void *arena UNUSED, int step UNUSED)
{
    __asm__ volatile("bx lr");
}

/* Not inlined, so that the readings around invoke and around nothing are the same instructions. */
static NOINLINE uint64_t time_invoke(int (*invoke)(void *), int *result)
{
    const uint64_t start = ec_port_ticks();
    *result = invoke(ec_app_arena);
    return ec_port_ticks() - start;
}

static NOINLINE uint64_t time_step(int (*step)(void *, int), int index, int *result)
{
    const uint64_t start = ec_port_ticks();
    *result = step(ec_app_arena, index);
    return ec_port_ticks() - start;
}

int ec_session_run(uint64_t *ticks)
{
    if (status != EC_OK) {
        return status;
    }
    restore_inputs();
    int result;
    *ticks = time_invoke(ec_app_model.invoke, &result);
    has_outputs = result == EC_OK;
    return result;
}

void ec_session_overhead(uint64_t *invoke_ticks, uint64_t *step_ticks)
{
    /* Through volatile pointers: the compiler must not see what is called, as it does not see the model. */
    int (*volatile invoke)(void *) = do_nothing;
    int (*volatile step)(void *, int) = do_no_step;
    int result;
    *invoke_ticks = time_invoke(invoke, &result);
    *step_ticks = time_step(step, 0, &result);
}

int ec_session_time_steps(uint32_t first, uint32_t count, uint64_t *ticks)
{
    if (status != EC_OK) {
        return status;
    }
    restore_inputs();
    for (uint32_t i = 0; i < ec_app_model.step_count; i++) {
        int result;
        const uint64_t took = time_step(ec_app_model.step, (int)i, &result);
        if (result != EC_OK) {
            return result;
        }
        if (i >= first && i - first < count) {
            ticks[i - first] = took;
        }
    }
    has_outputs = true;
    return EC_OK;
}

static uint32_t *stack_pointer(void)
{
    uint32_t *pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

/* Fills the stack below this frame, then runs invoke on it. Between the fill and the call nothing is pushed, so what is found changed
 * was changed by invoke. Volatile: the compiler may not turn the loop into a call. */
static NOINLINE int invoke_on_painted_stack(uint32_t paint, uint32_t *depth_bytes)
{
    uint32_t *const top = stack_pointer();
    for (volatile uint32_t *word = ec_stack_limit; word < top; word++) {
        *word = paint;
    }
    const int result = ec_app_model.invoke(ec_app_arena);
    const volatile uint32_t *word = ec_stack_limit;
    while (word < top && *word == paint) {
        word++;
    }
    *depth_bytes = (uint32_t)((uintptr_t)top - (uintptr_t)word);
    return result;
}

static int probe_once(uint8_t paint, uint32_t *stack_bytes, uint32_t *touched_bytes)
{
    volatile uint8_t *const arena = ec_app_arena;
    for (uint32_t i = 0; i < ec_app_model.arena_bytes; i++) {
        arena[i] = paint;
    }
    int result = ec_session_init();
    if (result != EC_OK) {
        return result;
    }
    restore_inputs();
    uint32_t depth;
    result = invoke_on_painted_stack(paint * 0x01010101u, &depth);
    uint32_t touched = ec_app_model.arena_bytes;
    while (touched && arena[touched - 1] == paint) {
        touched--;
    }
    *stack_bytes = depth > *stack_bytes ? depth : *stack_bytes;
    *touched_bytes = touched > *touched_bytes ? touched : *touched_bytes;
    return result;
}

/* Twice, with paints that differ in every bit: a byte that happens to be written with one is seen with the other. */
int ec_session_probe_memory(uint32_t *stack_bytes, uint32_t *arena_touched_bytes)
{
    *stack_bytes = 0;
    *arena_touched_bytes = 0;
    int result = probe_once(0xA5, stack_bytes, arena_touched_bytes);
    if (result == EC_OK) {
        result = probe_once(0x5A, stack_bytes, arena_touched_bytes);
    }
    has_outputs = result == EC_OK;
    return result;
}
