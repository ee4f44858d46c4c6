"""The static stack bound against what emulated cores were seen to use: never under it, and hardly above."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from sample_models import Net, every_op, three_roundings, tiny_classifier
from toy_firmware import toy_model

from edgecompress.build import GCC, ZIG, Toolchain, build_firmware, read_firmware
from edgecompress.build.glue import Manifest, parse_manifest, render_manifest
from edgecompress.build.stack import stack_bound
from edgecompress.build.toolchain import locate
from edgecompress.cli.build import _facts
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator, open_qemu
from edgecompress.elf import read_elf
from edgecompress.errors import BudgetError, ToolError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline import measure
from edgecompress.profile import profile_text, read_profile
from edgecompress.report.compare import compare
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


def test_a_build_keeps_the_bound_in_its_firmware(tmp_path: Path) -> None:
    """What the build tells is what the linked firmware shows, and what is read back from its manifest."""
    firmware = build_firmware(toy_model(), load_target("cortex-m4"), output=tmp_path / "out")
    assert firmware.stack_bound_bytes == stack_bound(read_elf(firmware.elf), "toy_invoke").bytes > 0
    assert firmware.stack_problem == ""
    assert read_firmware(firmware.elf).stack_bound_bytes == firmware.stack_bound_bytes
    assert ("stack bound", f"{firmware.stack_bound_bytes} B") in _facts(firmware)


def test_a_firmware_without_a_bound_is_built_and_says_why(tmp_path: Path) -> None:
    """A recursion leaves the bound unknown, with the functions' names, and stops nothing."""
    firmware = build_firmware(toy_model(before_step_1="toy_invoke(arena);"), load_target("cortex-m4"), output=tmp_path / "out")
    assert firmware.stack_bound_bytes is None
    assert read_firmware(firmware.elf).stack_bound_bytes is None
    ((_, shown),) = [fact for fact in _facts(firmware) if fact[0] == "stack bound"]
    assert shown.startswith("unknown: ") and "toy_step calls toy_step" in shown and "recursion" in shown


def test_a_stack_that_is_too_small_is_a_budget_error(tmp_path: Path) -> None:
    """A model that may overflow the target's stack is refused before it runs, with the bytes and the way there."""
    target = load_target("cortex-m4").model_copy(update={"stack_bytes": 512})
    wide = toy_model(before_step_1='volatile char big[600]; for (int i = 0; i < 600; i++) big[i] = 1; __asm volatile("" ::"r"(big));')
    with pytest.raises(BudgetError, match=r"toy_invoke does not fit cortex-m4: it takes up to 6\d\d B of stack.* more than the 512 B"):
        build_firmware(wide, target, output=tmp_path / "out")
    assert not (tmp_path / "out" / "firmware.elf").exists()


def test_a_manifest_of_an_older_build_is_read() -> None:
    """A firmware that was built before there were bounds has none."""
    manifest = Manifest(1, "cortex-m4", "zig", 4, toy_model().info, 40)
    text = "".join(re.findall(r'\.ascii "(.*)"', render_manifest(manifest))).replace('\\"', '"')
    document = json.loads(text)
    assert parse_manifest(text.encode()).stack_bound_bytes == 40
    del document["stack_bound_bytes"]
    assert parse_manifest(json.dumps(document).encode()).stack_bound_bytes is None


def test_a_profile_has_the_bound_beside_the_mark(tmp_path: Path) -> None:
    """measure and compare show both; a profile of an older version has no bound, and loads."""
    (tmp_path / "dense.tflite").write_bytes(dense())
    profile = measure("cortex-m3", tmp_path / "dense.tflite", parity_inputs=0)
    memory = profile.memory
    assert memory.stack_bytes is not None and memory.stack_bound_bytes is not None
    assert memory.stack_bytes <= memory.stack_bound_bytes <= memory.stack_bytes + SLACK
    shown = {row.metric: row.cells[0].text for row in compare([("dense", profile)]).rows}
    assert shown["stack bound"] == f"{memory.stack_bound_bytes} B"
    document = json.loads(profile_text(profile))
    for later in ("arena_peak_bytes", "arena_bound_bytes", "stack_bound_bytes"):
        del document["memory"][later]
    (tmp_path / "old.json").write_text(json.dumps(document))
    old = read_profile(tmp_path / "old.json")
    assert old.memory.stack_bytes == memory.stack_bytes
    assert (old.memory.arena_peak_bytes, old.memory.arena_bound_bytes, old.memory.stack_bound_bytes) == (None, None, None)
    assert "stack bound" not in {row.metric for row in compare([("old", old)]).rows}
