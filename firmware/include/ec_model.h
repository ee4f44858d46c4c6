/* A model as the application sees it. The application, the serial harness and the boards do not know which engine is behind it.
 *
 * The build writes one `ec_app_model` for the model that a firmware holds; its functions are the generated <name>_init, _input, ... */
#ifndef EC_MODEL_H
#define EC_MODEL_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ec_dtype { EC_FLOAT32 = 0, EC_INT8 = 1, EC_UINT8 = 2, EC_INT16 = 3, EC_INT32 = 4 };

/* An input or output tensor; `real = scale * (q - zero_point)`. scale_bits is the IEEE-754 pattern of the float32 scale, so that a core
 * without an FPU links no float code for a table. */
typedef struct {
    uint32_t bytes;
    uint32_t scale_bits;
    int32_t zero_point;
    enum ec_dtype dtype;
} ec_tensor_info;

typedef struct {
    const char *name;
    const char *engine;               /* "aot" or "tflm" */
    uint8_t sha256[32];               /* of the .tflite */
    uint32_t arena_bytes;             /* what init needs; the arena is aligned to 16 bytes */
    uint32_t input_count;
    uint32_t output_count;
    uint32_t step_count;              /* steps of one invoke, for per-op measurements; 0 when the engine cannot step */
    const ec_tensor_info *inputs;     /* [input_count] */
    const ec_tensor_info *outputs;    /* [output_count] */
    int (*init)(void *arena, size_t arena_bytes);              /* EC_OK or an ec_status */
    void *(*input)(void *arena, int index);                    /* NULL when there is no such input */
    const void *(*output)(void *arena, int index);
    int (*invoke)(void *arena);                                /* may overwrite the inputs: plans overlap */
    int (*step)(void *arena, int step);                        /* one step of invoke; all of them in order are one invoke */
} ec_model;

extern const ec_model ec_app_model;
extern uint8_t ec_app_arena[];        /* [ec_app_model.arena_bytes], aligned to 16 bytes */

#ifdef __cplusplus
}
#endif
#endif
