"""Firmware that links a real build of TensorFlow Lite Micro: the bytes of the generated C, in an arena that is as small as it can be.

EDGECOMPRESS_TFLM_DIR names a tree in which upstream's Makefile has built libraries (docs/tflm.md); each one that fits a Cortex-M4F or a
Cortex-M55 is tried. With EDGECOMPRESS_DATA, the models in its folder `models` are tried as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_models import Net, every_op, three_roundings, tiny_classifier

from edgecompress.artifact import Engine, Firmware
from edgecompress.build import GCC, build_firmware
from edgecompress.build.tflm import LIBRARY, TFLM_VARIABLE, TflmTree, find_tflm
from edgecompress.codegen import ExactArena, find_unsupported, generate_tflm
from edgecompress.convert import read_tflite
from edgecompress.device import Device, open_emulator, open_qemu
from edgecompress.errors import DeviceError, UserError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline.firmware import build_loaded
from edgecompress.pipeline.sources import LoadedModel, load_model
from edgecompress.pipeline.tflm import ARENA_STEP
from edgecompress.target import EmulatorLink, Target, load_target

FOLDER = os.environ.get(TFLM_VARIABLE)
TARGETS = ("qemu-mps2-an386", "qemu-mps3-an547")
SEEDS = (1, 2, 3)


def wide_autoencoder() -> bytes:
    """[1, 64] through 16 to 64: dense layers only."""
    net = Net()
    x = net.activation((1, 64))
    return net.build([x], [net.dense(net.dense(net.dense(x, 32), 16), 64)])


def residual_net() -> bytes:
    """[1, 16, 16, 3] to [1, 8]: a strided convolution, a depthwise and a pointwise one beside it, their sum, and its mean."""
    net = Net()
    x = net.activation((1, 16, 16, 3))
    y = net.conv(x, 8, 3, stride=2, activation="RELU")
    y = net.layer("ADD", [y, net.conv(net.depthwise(y, activation="RELU6"), 8, 1)], (1, 8, 8, 8))
    return net.build([x], [net.layer("MEAN", [y, net.constant([1, 2])], (1, 8), scale=0.03, keep_dims=False)])


MADE: dict[str, Callable[[], bytes]] = {
    "tiny_classifier": tiny_classifier,
    "three_roundings": three_roundings,
    "every_op": every_op,
    "residual_net": residual_net,
    "wide_autoencoder": wide_autoencoder,
}


def libraries(target: str) -> list[Path]:
    """The builds below EDGECOMPRESS_TFLM_DIR that are for this very core."""
    if FOLDER is None:
        return []
    builds = [path.parent.parent for path in sorted(Path(FOLDER).glob(f"gen/*/lib/{LIBRARY}"))]
    wanted = load_target(target).core.value
    return [build for build in builds if wanted in build.name and _fits(build, target)]


def _fits(build: Path, target: str) -> bool:
    try:
        find_tflm(build, load_target(target))
    except UserError:
        return False
    return True


def models() -> list[str]:
    folder = os.environ.get("EDGECOMPRESS_DATA")
    real = sorted(str(path) for path in (Path(folder) / "models").glob("*_int8.tflite")) if folder else []
    return [*MADE, *real]


def load(name: str) -> LoadedModel:
    if name in MADE:
        data = MADE[name]()
        return LoadedModel(data, read_tflite(data, name=name))
    return load_model(Path(name))


CASES = [
    pytest.param(target, build, name, id=f"{target}-{build.name.removeprefix('cortex_m_generic_')}-{Path(name).stem}")
    for target in TARGETS
    for build in libraries(target)
    for name in models()
]
if not CASES:
    why = "is not set" if FOLDER is None else f"({FOLDER}) has no gen/*/lib/{LIBRARY} for a Cortex-M4F or a Cortex-M55"
    mark = pytest.mark.skip(reason=f"{TFLM_VARIABLE} {why}: build TensorFlow Lite Micro by its own Makefile, as docs/tflm.md says")
    CASES = [pytest.param("", Path(), "", marks=mark, id="no-library")]


def open_device(firmware: Firmware, target: Target) -> Device:
    return open_emulator(firmware, target) if isinstance(target.link, EmulatorLink) else open_qemu(firmware, target)


def outputs(firmware: Firmware, target: Target) -> tuple[list[list[bytes]], float]:
    """What it gives for each seed, and the instructions of the first inference."""
    sizes = [spec.bytes for spec in firmware.info.inputs]
    with open_device(firmware, target) as device:
        given = [device.run(lcg_inputs(seed, sizes)) for seed in SEEDS]
        return given, device.measure(lcg_inputs(SEEDS[0], sizes), runs=1, warmup=0).samples[0]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("target", "build", "name"), CASES)
def test_tflm_on_a_core(target: str, build: Path, name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """It links, runs, gives the bytes of the generated C, and its arena is enough and cannot be smaller."""
    device, model = load_target(target), load(name)
    assert find_unsupported(model.graph, Engine.TFLM) == ()
    firmware = build_loaded(device, model, engine=Engine.TFLM, tflm_dir=build, output=tmp_path / "tflm")
    own = build_loaded(device, model, engine=Engine.AOT, output=tmp_path / "aot")
    (got, instructions), (expected, own_instructions) = outputs(firmware, device), outputs(own, device)
    assert got == expected
    assert not firmware.info.arena_is_estimate and firmware.info.arena_bytes % ARENA_STEP == 0
    linked = LoadedModel(linked_model(tmp_path / "tflm", firmware.info.name), model.graph)
    _must_not_start(linked, device, find_tflm(build, device), firmware.info.arena_bytes - ARENA_STEP, tmp_path / "less")
    record_property(
        "result",
        f"TFLM {target} {build.name} {Path(name).stem}: {_figures(firmware, instructions)}; generated C: {_figures(own, own_instructions)}",
    )


def linked_model(folder: Path, name: str) -> bytes:
    """The .tflite in a build, which may hold a memory plan that the file has not."""
    text = (folder / "generated" / f"{name}_model.cc").read_text(encoding="utf-8")
    return bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2}),", text))


def _must_not_start(model: LoadedModel, target: Target, tree: TflmTree, arena_bytes: int, folder: Path) -> None:
    """The real firmware with a smaller arena says so, instead of running."""
    less = generate_tflm(model.graph, model.data, arena=ExactArena(arena_bytes, "a test"))
    with pytest.raises(DeviceError, match=r"arena is too small|EC_ERROR_ARENA"):
        open_device(build_firmware(less, target, toolchain=GCC, output=folder, tflm=tree), target)


def _figures(firmware: Firmware, instructions: float) -> str:
    return f"{instructions:,.0f} instructions, arena {firmware.info.arena_bytes:,} B, code {firmware.sizes.code_bytes:,} B"
