"""What a Cortex-M target means to a compiler: its flags.

zig takes some incomplete -mcpu values without a word (a plain cortex_m4 is soft float, cortex_m33 lacks DSP, cortex_m55 lacks MVE);
firmware/boards/cortex_m/profile_check.h stops the build when the compiler's own idea differs from the target's.
"""

from __future__ import annotations

from enum import Enum

from edgecompress.build.toolchain import Toolchain
from edgecompress.target import Core, Fpu, Simd, Target


class Speed(Enum):
    """What the optimizer works for: speed at a price in kernels, size elsewhere. RUNTIME is memcpy and the like, whose loops must not
    become calls of themselves."""

    KERNEL = "kernel"
    SMALL = "small"
    RUNTIME = "runtime"


_ZIG_CPU = {core: core.value.replace("-", "_") for core in Core}
_GCC_FPU = {Core.CORTEX_M4: "fpv4-sp-d16", Core.CORTEX_M7: "fpv5-sp-d16", Core.CORTEX_M33: "fpv5-sp-d16"}

_COMMON = (
    "-std=c11",
    "-g",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-fomit-frame-pointer",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-stack-protector",
    "-fno-common",
    "-ffp-contract=off",
    # The first error is the cause (a board's #error, say); a ToolError shows the last lines of the output, so nothing may follow it.
    "-Wfatal-errors",
    # No -Werror: the tests do that; a newer compiler's opinions must not stop a user's build.
)

# zig's -O0 turns a sanitizer on.
_ZIG_ONLY = ("-fno-sanitize=undefined",)

# Measured, millions of instructions (ResNet8 / DS-CNN / autoencoder) and bytes of ResNet8's code:
#                   Cortex-M4                    Cortex-M3                    Cortex-M0+                   Cortex-M55
#   zig -Os         31.9 / 11.5 / 0.63, 5,076    45.3 / 13.9 / 0.95, 4,608    78.9 / 24.1 / 1.61, 4,952    15.5 / 6.7 / 0.25, 4,524
#       -O2         34.7 / 12.4 / 0.67, 7,144    46.1 / 14.2 / 0.95, 6,580    79.4 / 24.4 / 1.62, 6,860    15.8 / 6.9 / 0.26, 5,904
#       -Xclang -O3 34.0 / 11.8 / 0.65, 8,060    45.5 / 13.6 / 0.93, 7,464    79.1 / 24.0 / 1.61, 7,908    39.2 / 12.2 / 0.79, 5,824
#   gcc -Os         36.1 / 12.9 / 0.70, 4,484    46.2 / 14.7 / 0.95, 4,048    107.7 / 31.5 / 2.24, 4,840   37.6 / 13.6 / 0.73, 4,644
#       -O2         36.8 / 13.7 / 0.71, 5,076    43.9 / 14.3 / 0.88, 4,648    82.8 / 25.9 / 1.64, 5,768    38.5 / 13.5 / 0.72, 5,380
#       -O3         36.7 / 13.3 / 0.71, 6,676    42.9 / 13.6 / 0.87, 5,968    82.6 / 25.9 / 1.64, 7,284    37.5 / 12.9 / 0.72, 6,780
# A Cortex-M33 takes as many as an M4, an M7 up to 3 % fewer. clang vectorises for MVE at -Os and -O2, gcc does not; so gcc takes the DSP
# loops on a Cortex-M55. (zig's -O3 is clang's -O2; only -Xclang -O3 is the real one.)
_SPEED = {
    Toolchain.ZIG: {Speed.KERNEL: ("-Os",), Speed.SMALL: ("-Os",), Speed.RUNTIME: ("-Os", "-fno-builtin")},
    Toolchain.GCC: {
        Speed.KERNEL: ("-O2",),
        Speed.SMALL: ("-Os",),
        Speed.RUNTIME: ("-Os", "-fno-builtin", "-fno-tree-loop-distribute-patterns"),
    },
}

_FPU_LEVEL = {Fpu.NONE: 0, Fpu.SINGLE: 1, Fpu.DOUBLE: 2}
_SIMD_LEVEL = {Simd.NONE: 0, Simd.DSP: 1, Simd.MVE: 2}


def core_flags(toolchain: Toolchain, target: Target) -> tuple[str, ...]:
    """The flags that name the core, for compiling and for linking."""
    return _zig_core(target) if toolchain is Toolchain.ZIG else _gcc_core(target)


def compile_flags(toolchain: Toolchain, target: Target, speed: Speed) -> tuple[str, ...]:
    """All flags of one compilation but its files and include folders."""
    facts = (f"-DEC_FPU={_FPU_LEVEL[target.fpu]}", f"-DEC_SIMD={_SIMD_LEVEL[target.simd]}")
    own = _ZIG_ONLY if toolchain is Toolchain.ZIG else ()
    return core_flags(toolchain, target) + _COMMON + own + _SPEED[toolchain][speed] + facts


def link_flags(toolchain: Toolchain, target: Target) -> tuple[str, ...]:
    """Flags of a link, without its files, entry points and script; the compiler's run-time library goes last."""
    return core_flags(toolchain, target) + ("-g", "-nostdlib", "-Wl,--gc-sections")


def runtime_library(toolchain: Toolchain) -> tuple[str, ...]:
    """The compiler's run-time library: 64-bit and soft-float arithmetic."""
    return ("-lcompiler_rt",) if toolchain is Toolchain.ZIG else ("-lgcc",)


def _zig_core(target: Target) -> tuple[str, ...]:
    abi = "eabi" if target.fpu is Fpu.NONE else "eabihf"
    return ("-target", f"thumb-freestanding-{abi}", f"-mcpu={_ZIG_CPU[target.core]}{_zig_features(target)}")


def _zig_features(target: Target) -> str:
    features = ""
    if target.core is Core.CORTEX_M33 and target.simd is Simd.DSP:
        features += "+dsp"
    if target.simd is Simd.MVE:
        features += "+mve" if target.fpu is Fpu.NONE else "+mve_fp"
    if target.fpu is not Fpu.NONE:
        family = "vfp4d16" if target.core is Core.CORTEX_M4 else "fp_armv8d16"
        features += f"+{family}" + ("sp" if target.fpu is Fpu.SINGLE else "")
    return features


def _gcc_core(target: Target) -> tuple[str, ...]:
    cpu = target.core.value
    if target.core is Core.CORTEX_M33 and target.simd is Simd.NONE:
        cpu += "+nodsp"
    if target.core is Core.CORTEX_M55:
        cpu += ("+nomve" if target.simd is Simd.DSP else "") + ("+nofp" if target.fpu is Fpu.NONE else "")
    if target.fpu is Fpu.NONE:
        return (f"-mcpu={cpu}", "-mthumb", "-mfloat-abi=soft")
    fpu = "fpv5-d16" if target.fpu is Fpu.DOUBLE else _GCC_FPU[target.core]
    return (f"-mcpu={cpu}", "-mthumb", "-mfloat-abi=hard", "-mfpu=auto" if target.core is Core.CORTEX_M55 else f"-mfpu={fpu}")
