#ifndef EC_ELEMENTWISE_H
#define EC_ELEMENTWISE_H

#include "ec_types.h"

#endif
