/* The serial application on this computer: stdin and stdout are the UART, and the model adds 1 to each of 40 bytes.
 * It stands in for boards/ and for firmware/app/session.c, whose stack and counter belong to a core. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ec_port.h"
#include "session.h"

enum { BYTES = 40, ARENA_BYTES = 64 };

const char ec_app_target[] = "host";
uint8_t ec_app_arena[ARENA_BYTES];
uint8_t ec_app_inputs[48];

static const ec_tensor_info tensor = {BYTES, 0x3f000000, -3, EC_INT8};
static uint64_t now;
static uint32_t ready, finished, silence;

static int init(void *arena, size_t arena_bytes)
{
    memset(arena, 0, arena_bytes);
    return EC_OK;
}

static void *input(void *arena, int index)
{
    return index == 0 ? arena : NULL;
}

static const void *output(void *arena, int index)
{
    return index == 0 ? arena : NULL;
}

static int invoke(void *arena)
{
    for (int i = 0; i < BYTES; i++)
        ((uint8_t *)arena)[i]++;
    return EC_OK;
}

static int step(void *arena, int index)
{
    return index == 0 ? invoke(arena) : EC_ERROR_INDEX;
}

const ec_model ec_app_model = {"ic01", "aot", {1, 2, 3}, ARENA_BYTES, 1, 1, 1, &tensor, &tensor, init, input, output, invoke, step};

void ec_port_init(void)
{
}

/* The end of stdin ends the program, once nothing has been said for so long that every command must have been answered. */
int ec_port_try_getc(void)
{
    const int byte = getchar();
    if (byte == EOF && ++silence == 200000) {
        fflush(stdout);
        exit(0);
    }
    return byte == EOF ? -1 : byte;
}

bool ec_port_try_putc(uint8_t byte)
{
    silence = 0;
    putchar(byte);
    return true;
}

uint64_t ec_port_ticks(void)
{
    return now += 10;
}

uint32_t ec_port_ticks_hz(void)
{
    return 1000000;
}

uint32_t ec_port_clock_hz(void)
{
    return 0;
}

int ec_session_init(void)
{
    return ec_app_model.init(ec_app_arena, ARENA_BYTES);
}

int ec_session_status(void)
{
    return EC_OK;
}

uint8_t *ec_session_input(uint32_t index)
{
    return index == 0 ? ec_app_inputs : NULL;
}

void ec_session_set_ready(uint32_t index, bool is_ready)
{
    (void)index;
    ready = is_ready;
}

bool ec_session_ready(void)
{
    return ready;
}

int ec_session_run(uint64_t *ticks)
{
    memcpy(ec_app_arena, ec_app_inputs, BYTES);
    *ticks = 500;
    finished = 1;
    return invoke(ec_app_arena);
}

void ec_session_overhead(uint64_t *invoke_ticks, uint64_t *step_ticks)
{
    *invoke_ticks = *step_ticks = 10;
}

int ec_session_time_steps(uint32_t first, uint32_t count, uint64_t *ticks)
{
    for (uint32_t i = 0; i < count; i++)
        ticks[i] = 100 + first + i;
    return EC_OK;
}

int ec_session_probe_memory(uint32_t *stack_bytes, uint32_t *arena_touched_bytes)
{
    *stack_bytes = 16;
    *arena_touched_bytes = BYTES;
    return EC_OK;
}

bool ec_session_has_outputs(void)
{
    return finished;
}

int main(void)
{
    ec_app_main();
}
