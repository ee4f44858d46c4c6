/* The model's inputs and outputs: raw bytes of files, and copies from which inputs are restored (invoke may overwrite them). */
#ifndef EC_RUNNER_TENSORS_H
#define EC_RUNNER_TENSORS_H

#include <stdbool.h>
#include <stdint.h>

/* Read one file for each input into its copy; each must have exactly the input's bytes. False after saying why on stderr. */
bool ec_tensors_read(char *const *paths);

/* Copy the inputs into the arena. */
void ec_tensors_restore(void);

/* Write each output into its file. False after saying why on stderr. */
bool ec_tensors_write(char *const *paths);

/* The check sum of an output (crc32.h). */
uint32_t ec_tensors_output_crc32(uint32_t index);

/* One over all outputs, in their order. */
uint32_t ec_tensors_outputs_crc32(void);

#endif
