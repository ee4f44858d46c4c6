/* All kernels: verb, operand and dtype in the name, the contract in the family's header. The plain C in kernels/portable defines what is
 * correct. A kernel has no state: it reads and writes what its arguments point to. */
#ifndef EC_KERNELS_H
#define EC_KERNELS_H

#include "ec_activation.h"
#include "ec_conv.h"
#include "ec_dsp.h"
#include "ec_dsp_packed.h"
#include "ec_dsp_s16.h"
#include "ec_elementwise.h"
#include "ec_mve.h"
#include "ec_packed.h"
#include "ec_pool.h"
#include "ec_requantize.h"
#include "ec_resize.h"
#include "ec_shape.h"
#include "ec_thumb1.h"
#include "ec_thumb2.h"
#include "ec_types.h"
#include "ec_wide.h"

#endif
