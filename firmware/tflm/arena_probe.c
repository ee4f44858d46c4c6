/* A model that tries out arenas for another one, which TensorFlow Lite Micro runs: the application drives it like any model.
 *
 *   input 0   int32: how many bytes of arena to try
 *   output 0  int32: 0 when the model starts in them and runs on zeros, else its status
 *             int32: how many it uses after its start; it cannot start in fewer
 *
 * ec_probe.h, written by the generator, says which model. Its own memory lies in static variables: the arena belongs to the other model. */
#include "ec_model.h"
#include "ec_probe.h"

static int32_t wanted;
static int32_t answer[2];

int ec_probe_init(void *arena, size_t arena_bytes)
{
    (void)arena;
    return arena_bytes < EC_PROBE_ARENA_BYTES ? EC_ERROR_ARENA : EC_OK;
}

void *ec_probe_input(void *arena, int index)
{
    (void)arena;
    return index == 0 ? &wanted : NULL;
}

const void *ec_probe_output(void *arena, int index)
{
    (void)arena;
    return index == 0 ? answer : NULL;
}

static void clear_inputs(void *arena)
{
    static const uint32_t bytes[] = {EC_PROBE_INPUT_BYTES};
    for (int i = 0; i < (int)(sizeof bytes / sizeof bytes[0]); i++) {
        uint8_t *input = EC_PROBE_INPUT(arena, i);
        for (uint32_t at = 0; at < bytes[i]; at++) {
            input[at] = 0;
        }
    }
}

int ec_probe_invoke(void *arena)
{
    answer[0] = EC_ERROR_ARENA;
    answer[1] = 0;
    if (wanted < 0 || wanted > (int32_t)EC_PROBE_ARENA_BYTES) {
        return EC_OK;
    }
    answer[0] = EC_PROBE_INIT(arena, (size_t)wanted);
    if (answer[0] == EC_OK) {
        answer[1] = (int32_t)EC_PROBE_USED(arena);
        clear_inputs(arena);
        answer[0] = EC_PROBE_INVOKE(arena);
    }
    return EC_OK;
}
