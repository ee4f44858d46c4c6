/* Which vector instructions this processor has, asked once.
 *
 *   x86-64   EC_WIDE_VNNI_512  AVX512-VNNI with AVX512-VL (Intel server cores from 2019, AMD from 2022)
 *            EC_WIDE_VNNI      AVX-VNNI (Intel cores from 2021 without AVX-512, AMD from 2024)
 *            EC_WIDE_AVX2      AVX2
 *   aarch64  EC_WIDE_SDOT      NEON with dot products (Armv8.2 and later)
 *            EC_WIDE_NEON      NEON
 *   else     EC_WIDE_PLAIN     what the compiler makes of C, on x86-64 with SSE2
 *
 * A build with -DEC_WIDE_LEVEL=EC_WIDE_... (one of its own architecture) takes that level unasked: for tests. */
#ifndef EC_WIDE_LEVEL_H
#define EC_WIDE_LEVEL_H

#include "ec_types.h"

#define EC_WIDE_PLAIN 0
#define EC_WIDE_AVX2 1
#define EC_WIDE_VNNI 2
#define EC_WIDE_VNNI_512 3
#define EC_WIDE_NEON 4
#define EC_WIDE_SDOT 5

#if defined(__x86_64__) && (defined(__clang__) || defined(__GNUC__))
#define EC_WIDE_X86 1
#else
#define EC_WIDE_X86 0
#endif

#if defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__)
#define EC_WIDE_ARM 1
#else
#define EC_WIDE_ARM 0
#endif

#define EC_WIDE_INLINE static inline __attribute__((always_inline, unused))

#if EC_WIDE_X86

#include <cpuid.h>
#include <immintrin.h>

#define EC_AVX2 __attribute__((target("avx2")))

/* Compilers since 2021 know both kinds of VNNI. */
#if (defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && __GNUC__ >= 11)
#define EC_WIDE_HAS_VNNI 1
#else
#define EC_WIDE_HAS_VNNI 0
#endif

/* Bits of XCR0 (Intel SDM volume 1, 13.3): the system saves xmm and ymm; opmask, upper zmm and zmm16 to 31. */
#define EC_XCR0_AVX 0x06u
#define EC_XCR0_AVX512 0xe6u

static inline uint32_t ec_wide_xcr0(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

/* CPUID leaves 1 and 7 (Intel SDM volume 2, CPUID). __builtin_cpu_supports would need a constructor of the compiler's run-time library, which
 * static programs of zig lack. */
static inline int ec_wide_ask(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27)) /* OSXSAVE */
        return EC_WIDE_PLAIN;
    const uint32_t saved = ec_wide_xcr0();
    if ((saved & EC_XCR0_AVX) != EC_XCR0_AVX || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 5)) /* AVX2 */
        return EC_WIDE_PLAIN;
    if (!EC_WIDE_HAS_VNNI)
        return EC_WIDE_AVX2;
    const uint32_t leaves = a;
    if ((saved & EC_XCR0_AVX512) == EC_XCR0_AVX512 && (b & 1u << 31) && (c & 1u << 11)) /* AVX512VL, AVX512_VNNI */
        return EC_WIDE_VNNI_512;
    if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4)) /* AVX-VNNI */
        return EC_WIDE_VNNI;
    return EC_WIDE_AVX2;
}

#elif EC_WIDE_ARM

#include <arm_neon.h>

#define EC_SDOT __attribute__((target("+dotprod")))

/* arm64 Linux and Android: HWCAP_ASIMDDP, bit 20 of AT_HWCAP (Documentation/arch/arm64/elf_hwcaps.rst). */
#if defined(__ARM_FEATURE_DOTPROD)
static inline int ec_wide_ask(void)
{
    return EC_WIDE_SDOT;
}
#elif defined(__linux__)
#include <sys/auxv.h>
static inline int ec_wide_ask(void)
{
    return getauxval(AT_HWCAP) & 1ul << 20 ? EC_WIDE_SDOT : EC_WIDE_NEON;
}
#else
static inline int ec_wide_ask(void)
{
    return EC_WIDE_NEON;
}
#endif

#endif

#if !EC_WIDE_X86 && !EC_WIDE_ARM && !defined(EC_WIDE_LEVEL)
#define EC_WIDE_LEVEL EC_WIDE_PLAIN
#endif

#ifdef EC_WIDE_LEVEL
static inline int ec_wide_level(void)
{
    return EC_WIDE_LEVEL;
}
#else
/* The answer is kept, as CPUID takes microseconds on a virtual machine: it is the same whoever asks, so threads may all write it. */
static inline int ec_wide_level(void)
{
    static int known = -1;
    int level = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (level < 0) {
        level = ec_wide_ask();
        __atomic_store_n(&known, level, __ATOMIC_RELAXED);
    }
    return level;
}
#endif

#endif
