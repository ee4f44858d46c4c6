#include "tensors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crc32.h"
#include "ec_model.h"
#include "ec_port.h"

static uint8_t *copy_of(uint32_t index)
{
    uint8_t *copy = ec_app_inputs;
    for (uint32_t i = 0; i < index; i++) {
        copy += (ec_app_model.inputs[i].bytes + 15u) & ~15u;
    }
    return copy;
}

static bool read_input(uint32_t index, const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
        return false;
    }
    const uint32_t bytes = ec_app_model.inputs[index].bytes;
    const bool whole = fread(copy_of(index), 1, bytes, file) == bytes && fgetc(file) == EOF && !ferror(file);
    fclose(file);
    if (!whole) {
        fprintf(stderr, "%s: input %u has %u bytes; this file has more or fewer\n", path, (unsigned)index, (unsigned)bytes);
    }
    return whole;
}

bool ec_tensors_read(char *const *paths)
{
    for (uint32_t i = 0; i < ec_app_model.input_count; i++) {
        if (!read_input(i, paths[i])) {
            return false;
        }
    }
    return true;
}

void ec_tensors_restore(void)
{
    for (uint32_t i = 0; i < ec_app_model.input_count; i++) {
        memcpy(ec_app_model.input(ec_app_arena, (int)i), copy_of(i), ec_app_model.inputs[i].bytes);
    }
}

static bool write_output(uint32_t index, const char *path)
{
    FILE *file = fopen(path, "wbe");
    const uint32_t bytes = ec_app_model.outputs[index].bytes;
    bool written = file != NULL && fwrite(ec_app_model.output(ec_app_arena, (int)index), 1, bytes, file) == bytes;
    if (file != NULL) {
        written = fclose(file) == 0 && written;
    }
    if (!written) {
        fprintf(stderr, "%s: cannot be written: %s\n", path, strerror(errno));
    }
    return written;
}

bool ec_tensors_write(char *const *paths)
{
    for (uint32_t i = 0; i < ec_app_model.output_count; i++) {
        if (!write_output(i, paths[i])) {
            return false;
        }
    }
    return true;
}

static uint32_t continue_crc32(uint32_t crc, uint32_t index)
{
    return ec_crc32(crc, ec_app_model.output(ec_app_arena, (int)index), ec_app_model.outputs[index].bytes);
}

uint32_t ec_tensors_output_crc32(uint32_t index)
{
    return continue_crc32(0, index);
}

uint32_t ec_tensors_outputs_crc32(void)
{
    uint32_t crc = 0;
    for (uint32_t i = 0; i < ec_app_model.output_count; i++) {
        crc = continue_crc32(crc, i);
    }
    return crc;
}
