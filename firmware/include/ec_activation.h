#ifndef EC_ACTIVATION_H
#define EC_ACTIVATION_H

#include "ec_types.h"

#endif
