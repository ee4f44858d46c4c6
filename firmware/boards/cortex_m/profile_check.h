/* The compiler must build for the core that the target file names. It takes some wrong -mcpu values without a word (a plain
 * cortex_m4 is soft float, a plain cortex_m55 has no MVE), so each fact is compared with what the compiler says of itself.
 *
 * The build defines EC_FPU (0 none, 1 single, 2 double) and EC_SIMD (0 none, 1 DSP, 2 MVE) from the target. */
#ifndef EC_PROFILE_CHECK_H
#define EC_PROFILE_CHECK_H

#if !defined(EC_FPU) || !defined(EC_SIMD)
#error "the build defines EC_FPU and EC_SIMD from the target"
#endif

/* __ARM_FP: bit 2 single, bit 3 double precision (Arm C Language Extensions, section 5.5.1). */
#if EC_FPU == 0 && defined(__ARM_FP)
#error "the target has no FPU, but the compiler builds for one"
#elif EC_FPU == 1 && (!defined(__ARM_FP) || (__ARM_FP & 0xC) != 0x4)
#error "the target has a single-precision FPU, but the compiler builds for another"
#elif EC_FPU == 2 && (!defined(__ARM_FP) || (__ARM_FP & 0xC) != 0xC)
#error "the target has a double-precision FPU, but the compiler builds for another"
#endif

#if EC_FPU != 0 && !defined(__ARM_PCS_VFP)
#error "the target has an FPU, but the compiler passes floats in core registers"
#endif

#if EC_SIMD == 0 && (defined(__ARM_FEATURE_DSP) || defined(__ARM_FEATURE_MVE))
#error "the target has no DSP extension, but the compiler builds for one"
#elif EC_SIMD == 1 && (!defined(__ARM_FEATURE_DSP) || defined(__ARM_FEATURE_MVE))
#error "the target has the DSP extension and no MVE, but the compiler builds for another"
#elif EC_SIMD == 2 && !defined(__ARM_FEATURE_MVE)
#error "the target has MVE, but the compiler builds without it"
#endif

#endif
