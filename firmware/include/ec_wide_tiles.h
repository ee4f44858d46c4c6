/* The tile function of this processor. */
#ifndef EC_WIDE_TILES_H
#define EC_WIDE_TILES_H

#include "ec_wide_tile_arm.h"
#include "ec_wide_tile_x86.h"

typedef void (*ec_tile_function)(const ec_wide_tile *t);

static inline ec_tile_function ec_find_tile(void)
{
    switch (ec_wide_level()) {
#if EC_WIDE_X86
    case EC_WIDE_AVX2:
        return ec_tile_avx2;
#if EC_WIDE_HAS_VNNI
    case EC_WIDE_VNNI:
        return ec_tile_vnni;
    case EC_WIDE_VNNI_512:
        return ec_tile_vnni_512;
#endif
#elif EC_WIDE_ARM
    case EC_WIDE_NEON:
        return ec_tile_neon;
    case EC_WIDE_SDOT:
        return ec_tile_sdot;
#endif
    default:
        return ec_tile_plain;
    }
}

#endif
