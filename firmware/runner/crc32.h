/* CRC-32 as zlib computes it (reflected, polynomial 0x04c11db7), by which the host sees whether bytes came whole. */
#ifndef EC_RUNNER_CRC32_H
#define EC_RUNNER_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of some bytes, continued from `crc` of those before them; 0 at the start. */
uint32_t ec_crc32(uint32_t crc, const uint8_t *bytes, size_t count);

#endif
