#ifndef EC_RESIZE_H
#define EC_RESIZE_H

#include "ec_types.h"

#endif
