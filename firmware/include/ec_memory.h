/* The three functions that a freestanding compiler may call anyway, so that every board has them. There is no <string.h> here. */
#ifndef EC_MEMORY_H
#define EC_MEMORY_H

#include "ec_types.h"

#ifdef __cplusplus
extern "C" {
#endif

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
