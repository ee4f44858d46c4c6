"""The static stack bound against what emulated cores were seen to use: never under it, and hardly above."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sample_models import Net, every_op, three_roundings, tiny_classifier

from edgecompress.build import GCC, ZIG, Toolchain, build_firmware
from edgecompress.build.stack import stack_bound
from edgecompress.build.toolchain import locate
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator, open_qemu
from edgecompress.elf import read_elf
from edgecompress.errors import ToolError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.target import EmulatorLink, load_target

# A Cortex-M0+, M3, M4, M7 and M33 in process, and a Cortex-M55 of QEMU's.
CORES = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "qemu-mps3-an547"]
SLACK = 64


def dense() -> bytes:
    """Two dense layers."""
    net = Net()
    x = net.activation((1, 12))
    return net.build([x], [net.dense(net.dense(x, 7), 3)])


MODELS = {"classifier": tiny_classifier, "dense": dense, "pooled": three_roundings, "every": every_op}
# Two cores are enough for a model of 40 kernels.
CASES = [(core, name) for core in CORES for name in MODELS if name != "every" or core in ("cortex-m0plus", "cortex-m4")]


@pytest.fixture(params=[ZIG, GCC], ids=["zig", "gcc"])
def toolchain(request: pytest.FixtureRequest) -> Toolchain:
    try:
        locate(request.param)
    except ToolError as e:
        pytest.skip(f"{e.message}: {e.hint}")
    return request.param


@pytest.mark.parametrize(("core", "name"), CASES)
def test_the_bound_holds_and_is_tight(core: str, name: str, toolchain: Toolchain, tmp_path: Path) -> None:
    """The deepest stack of three inferences is at most the bound, and at most 64 bytes below it."""
    target = load_target(core)
    if not isinstance(target.link, EmulatorLink) and shutil.which("qemu-system-arm") is None:
        pytest.skip("needs QEMU for a Cortex-M55: apt-get install qemu-system-arm")
    generated = generate_aot(read_tflite(MODELS[name](), name=name), kernels=target.kernels)
    firmware = build_firmware(generated, target, toolchain=toolchain, output=tmp_path / "out")
    bound = stack_bound(read_elf(firmware.elf), f"{name}_invoke")
    sizes = [spec.bytes for spec in generated.info.inputs]
    with open_emulator(firmware, target) if isinstance(target.link, EmulatorLink) else open_qemu(firmware, target) as device:
        marks = [device.measure(lcg_inputs(seed, sizes), runs=1, warmup=0).stack_bytes for seed in (1, 2, 3)]
    deepest = max(mark for mark in marks if mark is not None)
    assert deepest <= bound.bytes <= deepest + SLACK, bound.path
