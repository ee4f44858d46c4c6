#ifndef EC_SHAPE_H
#define EC_SHAPE_H

#include "ec_types.h"

#endif
