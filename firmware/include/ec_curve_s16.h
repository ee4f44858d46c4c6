/* What LOGISTIC and TANH of int16 share: the table of the sigmoid, which is symmetric, between two of its entries. */
#ifndef EC_CURVE_S16_H
#define EC_CURVE_S16_H

#include "ec_activation.h"

/* Where a count lies in the table, with its sign. |in * factor| <= 2^30, so that half of 2^31 may be added. */
static inline int32_t ec_curve_address(const ec_curve_params *p, int32_t in)
{
    const int32_t half = p->shift > 0 ? (int32_t)1 << (p->shift - 1) : 0;
    return (in * p->factor + half) >> p->shift;
}

/* The sigmoid at address / 2^bits, times 2^bits; `beyond` from the last entry on. */
static inline int32_t ec_curve_at(const ec_curve_params *p, int32_t address, int32_t bits, int32_t beyond)
{
    const int32_t size = address < 0 ? -address : address, index = size >> bits;
    if (index >= 255)
        return beyond;
    const int32_t from = p->sigmoid[index], to = p->sigmoid[index + 1];
    return from * (1 << bits) + (size & ((1 << bits) - 1)) * (to - from);
}

#endif
