/* What makes this a program to the RP2350's boot ROM: the smallest IMAGE_DEF of a program for the Arm core, in secure state.
 *
 * RP2350 datasheet 5.9.5.1. The boot ROM looks for it in the first 4 KB of flash. It names no vector table and no
 * entry point, so the program is taken to start with a vector table: the linker script puts this behind it. */
#include "ec_types.h"

#define BLOCK_BEGINS 0xFFFFDED3u
#define BLOCK_ENDS 0xAB123579u
#define ITEM_IMAGE_TYPE 0x42u
#define ITEM_LAST 0xFFu

/* 5.9.3.1: 3:0 1 a program, 5:4 2 secure, 10:8 0 Arm, 14:12 1 RP2350. */
#define PROGRAM_SECURE_ARM_RP2350 (1u | 2u << 4 | 0u << 8 | 1u << 12)

__attribute__((section(".ec_boot_block"), used)) static const uint32_t image_def[] = {
    BLOCK_BEGINS,
    ITEM_IMAGE_TYPE | 1u << 8 | PROGRAM_SECURE_ARM_RP2350 << 16, /* 15:8 its size in words */
    ITEM_LAST | 1u << 8,                                         /* 23:8 the words of all items before it */
    0,                                                           /* 5.9.2: the loop of blocks: this one is the only one */
    BLOCK_ENDS,
};
