/* The checked frames of edgecompress, inside the command and line framing of MLPerf Tiny; docs/serial.md draws them.
 *
 *   host:   ec SS LLLL BODY CCCCCCCC%           device:  m-ec-[SS LLLL BODY CCCCCCCC]
 *
 * SS is a sequence number, which the answer repeats, LLLL the characters of BODY, CCCCCCCC the CRC-32 (of Ethernet and zlib) of
 * "SS LLLL BODY": all in hex. */
#ifndef EC_APP_FRAME_H
#define EC_APP_FRAME_H

#include "ec_types.h"

enum {
    FRAME_BODY_BYTES = 320,  /* the longest BODY either way */
    FRAME_CHUNK_BYTES = 192, /* tensor bytes in one frame: 256 characters of base64 */
    FRAME_WINDOW = 4,        /* frames that the host may have on the way */
};

/* Carry out one command that starts with "ec " and send its answer (without m-ready). `line` has room for FRAME_BODY_BYTES. */
void ec_frame_handle(char *line, uint32_t length);

/* CRC-32 of `count` bytes that follow those that gave `crc`; start with 0. */
uint32_t ec_frame_crc32(uint32_t crc, const void *bytes, uint32_t count);

#endif
