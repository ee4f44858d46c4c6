/* The pin of MLPerf Tiny's energy mode: what measures a board's current cuts its window by it.
 *
 *      ______     ________________________     ______
 *            |___|   the timed inferences |___|           open drain: pulled low for 0.1 ms, then released */
#ifndef EC_APP_ENERGY_H
#define EC_APP_ENERGY_H

#include "ec_types.h"

/* One pulse, where the board has such a pin; it comes back once the pin is released. */
void ec_energy_pulse(void);

#endif
