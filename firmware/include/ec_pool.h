#ifndef EC_POOL_H
#define EC_POOL_H

#include "ec_types.h"

#endif
