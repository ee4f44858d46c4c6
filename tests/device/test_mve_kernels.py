"""Random layers on a Cortex-M55 in QEMU: vectors, predicated tails and hand-written loops give the oracle's bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgecompress.build import build_firmware
from edgecompress.build.toolchain import Toolchain
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import open_qemu
from edgecompress.numerics.reference import run_reference
from edgecompress.target import load_target
from tests.op_cases import Family, OpCases
from tests.op_chains import convolution_chain
from tests.op_families import add, mean, mul, pool, sub
from tests.wide_families import wide_conv2d, wide_dense, wide_depthwise

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None,
    reason="needs qemu-system-arm: apt-get install qemu-system-arm (.ci/packages.txt, group serial)",
)

TARGET = "qemu-mps3-an547"
Mix = tuple[tuple[Family, int], ...]
# The serial protocol takes 32 inputs a model.
MIXES: dict[str, Mix] = {
    "convolutions": ((wide_conv2d, 16), (wide_depthwise, 16)),
    "dense_pools_sums": ((wide_dense, 3), (pool, 6), (add, 3), (sub, 3), (mul, 4), (mean, 3)),
    "chains": ((convolution_chain, 32),),
}


def run_on_m55(cases: OpCases, toolchain: Toolchain, folder: Path) -> None:
    """Build all cases into one firmware and compare what comes back."""
    data, values = cases.build()
    graph = read_tflite(data, name="cases")
    oracle = run_reference(graph, values)
    target = load_target(TARGET)
    generated = generate_aot(graph, kernels=target.kernels)
    assert any("/mve/" in kernel for kernel in generated.kernels)
    firmware = build_firmware(generated, target, toolchain=toolchain, output=folder / "out")
    with open_qemu(firmware, target) as device:
        outputs = device.run([value.tobytes() for value in values])
    for index, ours in zip(graph.outputs, outputs, strict=True):
        (op,) = (op for op in graph.ops if index in op.outputs)
        assert ours == oracle[index].tobytes(), f"tensor {index} of {op}"


def mixed(seed: int, mix: Mix) -> OpCases:
    """A model with some ops of each family."""
    cases = OpCases(seed)
    for family, count in mix:
        cases.grow(family, count)
    return cases


@pytest.mark.parametrize("name", MIXES)
def test_same_bytes(name: str, tmp_path: Path) -> None:
    """Channels and columns that are no multiple of a vector, every zero point, clamps that make the rounding simpler or not."""
    run_on_m55(mixed(5, MIXES[name]), Toolchain.ZIG, tmp_path)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc: apt-get install gcc-arm-none-eabi")
def test_same_bytes_with_gcc(tmp_path: Path) -> None:
    """Another assembler and another compiler's intrinsics."""
    run_on_m55(mixed(6, MIXES["chains"]), Toolchain.GCC, tmp_path)
