"""Kernels of application processors on every level that they can choose: the reference's bytes, and no stray read."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.convert import read_tflite
from edgecompress.numerics.reference import run_reference
from edgecompress.target import KernelSet
from tests import aot_host
from tests.aot_host import FIRMWARE, HostCompiler, HostProgram, compile_c, compile_tflites, host_compiler
from tests.conv_families import conv2d
from tests.op_cases import OpCases
from tests.op_chains import convolution_chain
from tests.op_families import add, pool
from tests.wide_families import wide_conv2d, wide_dense, wide_depthwise

FAMILIES = (conv2d, add, pool, wide_conv2d, wide_depthwise, wide_dense)
X86_64 = platform.machine() in ("x86_64", "AMD64")
# What /proc/cpuinfo calls the instructions of each level.
LEVELS = {
    "EC_WIDE_PLAIN": (),
    "EC_WIDE_AVX2": ("avx2",),
    "EC_WIDE_VNNI": ("avx2", "avx_vnni"),
    "EC_WIDE_VNNI_512": ("avx2", "avx512vl", "avx512_vnni"),
}
# Cores of qemu, without and with dot products, and what they choose.
ARM_CORES = {"cortex-a53": "EC_WIDE_NEON", "cortex-a76": "EC_WIDE_SDOT"}
EMULATOR = "qemu-aarch64-static"
SIGILL = 4

ASK = """\
#include <stdio.h>
#include "ec_wide_level.h"
int main(void)
{
    printf("%d", ec_wide_level());
    return 0;
}
"""


@dataclass(frozen=True)
class Case:
    """A model, its inputs, and what the reference makes of them."""

    data: bytes
    values: list[NDArray[Any]]
    outputs: list[NDArray[Any]]


@cache
def cases() -> tuple[Case, ...]:
    built = [OpCases(seed).grow(family, 24).build() for seed, family in enumerate(FAMILIES)]
    built += [OpCases(200 + seed).grow(convolution_chain, 1).build() for seed in range(8)]
    made = []
    for n, (data, values) in enumerate(built):
        graph = read_tflite(data, name=f"m{n}")
        oracle = run_reference(graph, values)
        made.append(Case(data, values, [oracle[index] for index in graph.outputs]))
    return tuple(made)


def check(program: HostProgram) -> None:
    results = program.run_all([(n, case.values) for n, case in enumerate(cases())])
    for n, (case, came) in enumerate(zip(cases(), results, strict=True)):
        for position, (ours, expected) in enumerate(zip(came, case.outputs, strict=True)):
            np.testing.assert_array_equal(ours, expected, f"model {n}, output {position}")


def processor_flags() -> set[str]:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace") if sys.platform == "linux" else ""
    return {flag for line in text.splitlines() if line.startswith("flags") for flag in line.partition(":")[2].split()}


def require(level: str) -> None:
    if not X86_64:
        pytest.skip(f"{level} is a level of x86-64, and this computer is {platform.machine()}: run the test on one")
    missing = [flag for flag in LEVELS[level] if flag not in processor_flags()]
    if missing:
        pytest.skip(f"this processor lacks {', '.join(missing)}: run the test on one that has it")


def level_numbers() -> dict[str, int]:
    text = (FIRMWARE / "include" / "ec_wide_level.h").read_text(encoding="utf-8")
    defines = [line.split() for line in text.splitlines() if line.startswith("#define EC_WIDE_")]
    return {words[1]: int(words[2]) for words in defines if len(words) == 3 and words[2].isdigit()}


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_of_x86_64_gives_the_reference_bytes(level: str, tmp_path: Path) -> None:
    """Layers and chains of layers, under the sanitizers, with the level given at build time."""
    require(level)
    check(compile_tflites([case.data for case in cases()], tmp_path, kernels=KernelSet.WIDE, kernel_flags=(f"-DEC_WIDE_LEVEL={level}",)))


def ask(compiler: HostCompiler, folder: Path) -> int:
    """The level that a program finds."""
    (folder / "ask.c").write_text(ASK, encoding="utf-8")
    compile_c([str(folder / "ask.c"), "-o", str(folder / "ask")], compiler)
    done = subprocess.run([*compiler.emulator, str(folder / "ask")], capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not (X86_64 and sys.platform == "linux"), reason="needs an x86-64 computer with Linux")
def test_x86_64_is_asked_rightly(tmp_path: Path) -> None:
    """The level that is found is the best whose instructions the kernel of Linux lists."""
    best = [level for level, needed in LEVELS.items() if processor_flags().issuperset(needed)][-1]
    assert ask(host_compiler(), tmp_path) == level_numbers()[best]


def arm_compiler(core: str) -> HostCompiler:
    """zig for 64-bit Arm, whose programs run on an emulated core; undefined behaviour traps."""
    pytest.importorskip("ziglang", reason="needs ziglang from PyPI")
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"needs {EMULATOR}: apt install qemu-user-static")
    command = (sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-mcpu=generic", "-static")
    checks = ("-fsanitize=undefined", "-fsanitize-trap=undefined")
    return HostCompiler(command, ("-O1", "-g", *aot_host.WARNINGS, *checks), (EMULATOR, "-cpu", core))


def test_64_bit_arm_gives_the_reference_bytes_with_and_without_dot_products(tmp_path: Path) -> None:
    """One program, on a core of each kind."""
    data = [case.data for case in cases()]
    program = compile_tflites(data, tmp_path, kernels=KernelSet.WIDE, compiler=arm_compiler("cortex-a53"))
    for core in ARM_CORES:
        check(replace(program, emulator=(EMULATOR, "-cpu", core)))


def test_64_bit_arm_is_asked_rightly(tmp_path: Path) -> None:
    """Dot products are found where the core has them, and a program that was told to use them without asking dies on one that has not."""
    for core, level in ARM_CORES.items():
        assert ask(arm_compiler(core), tmp_path) == level_numbers()[level]
    flags, compiler = ("-DEC_WIDE_LEVEL=EC_WIDE_SDOT",), arm_compiler("cortex-a76")
    dense = cases()[FAMILIES.index(wide_dense)]
    program = compile_tflites([dense.data], tmp_path, kernels=KernelSet.WIDE, kernel_flags=flags, compiler=compiler)
    program.run(0, dense.values)
    with pytest.raises(AssertionError, match=f"failed with -{SIGILL}"):
        replace(program, emulator=(EMULATOR, "-cpu", "cortex-a53")).run(0, dense.values)
