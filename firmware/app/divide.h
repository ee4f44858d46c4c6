/* 64-bit division for the application alone: the compiler's helper would count as code that the model needs. */
#ifndef EC_APP_DIVIDE_H
#define EC_APP_DIVIDE_H

#include "ec_types.h"

/* value / divisor, and the remainder. divisor is not 0. */
uint64_t ec_divide(uint64_t value, uint32_t divisor, uint32_t *remainder);

#endif
