/* What a family's clock set-up came to: full speed, or the reset clock that the chip started with. */
#ifndef EC_STM32_CLOCKS_H
#define EC_STM32_CLOCKS_H

#include "ec_types.h"

typedef struct {
    uint32_t core_hz; /* of the core, its cycle counter and SysTick */
    uint32_t uart_hz; /* of the bus that the UART hangs on */
} stm32_clocks;

#endif
