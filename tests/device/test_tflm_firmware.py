"""Firmware with C++ in it, and what must be there before TensorFlow Lite Micro can be linked; no library of it is needed here."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import pytest
from sample_models import tiny_classifier

from edgecompress.artifact import Engine, GeneratedModel, ModelInfo, TensorSpec
from edgecompress.build import GCC, build_firmware
from edgecompress.build.cpp import CPP_PROGRAM, locate_cpp
from edgecompress.build.tflm import TflmTree
from edgecompress.build.toolchain import locate
from edgecompress.cli import main
from edgecompress.codegen import ExactArena
from edgecompress.codegen.tflm_probe import arena_probe
from edgecompress.device import open_emulator
from edgecompress.device.qemu import PROGRAM
from edgecompress.errors import DeviceError, ModelError, ToolError, UserError
from edgecompress.graph import DType
from edgecompress.pipeline import build
from edgecompress.pipeline.tflm import emulated_twin, find_arena, smallest_arena
from edgecompress.target import Core, Fpu, load_target

# Two constructors with a priority in the wrong order, two without one in order, an object that is made on first use, and a virtual call.
SOURCE = """\
#include "order.h"

namespace {

int count;
signed char trace[6];

struct Mark {
    explicit Mark(char mark) { trace[count++] = mark; }
    virtual ~Mark() {}
    virtual char last() const = 0;
};

struct Leaf : Mark {
    explicit Leaf(char mark) : Mark(mark) {}
    char last() const override { return 'v'; }
};

__attribute__((init_priority(300))) Leaf second('b');
__attribute__((init_priority(200))) Leaf first('a');
Leaf third('c'), fourth('d');

}  // namespace

extern "C" int order_init(void *, size_t) { return 0; }
extern "C" void *order_input(void *arena, int) { return arena; }
extern "C" const void *order_output(void *, int) { return trace; }
extern "C" int order_invoke(void *arena) {
    static Leaf on_first_use('e');
    // Which of the two is not known before it runs.
    const Mark &mark = *static_cast<char *>(arena) ? static_cast<const Mark &>(third) : static_cast<const Mark &>(on_first_use);
    trace[count++] = mark.last();
    return 0;
}
"""

HEADER = """\
#pragma once
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
#define ORDER_ARENA_BYTES 16
int order_init(void *arena, size_t arena_bytes);
void *order_input(void *arena, int index);
const void *order_output(void *arena, int index);
int order_invoke(void *arena);
#ifdef __cplusplus
}
#endif
"""


def order_model() -> GeneratedModel:
    """A "model" in C++ whose output is the order in which its objects were made."""
    one = TensorSpec("in", (1,), DType.INT8, 1, None, None)
    info = ModelInfo("order", hashlib.sha256(b"order").hexdigest(), Engine.TFLM, 0, 0, 16, (one,), (), (), ())
    info = dataclasses.replace(info, outputs=(dataclasses.replace(one, name="out", shape=(6,), bytes=6),))
    return GeneratedModel(info, {"order.h": HEADER, "order.cc": SOURCE}, ())


# A model in C++ that starts in 1,040 bytes and more, uses 700 of them, and writes to the last byte when it runs.
ARENA_SOURCE = """\
#include "order.h"
static size_t given;
extern "C" int order_init(void *, size_t bytes) { given = bytes; return bytes < 1040 || bytes < ORDER_ARENA_BYTES ? -1 : 0; }
extern "C" void *order_input(void *arena, int) { return arena; }
extern "C" const void *order_output(void *arena, int) { return arena; }
extern "C" int order_invoke(void *arena) { static_cast<char *>(arena)[given - 1] = 1; return 0; }
extern "C" size_t order_arena_used_bytes(const void *) { return 700; }
"""


def arena_model() -> GeneratedModel:
    """The model above, with an estimate of its arena that nobody should believe."""
    toy = order_model()
    header = toy.files["order.h"].replace("int order_invoke", "size_t order_arena_used_bytes(const void *arena);\nint order_invoke")
    header = header.replace("#define ORDER_ARENA_BYTES 16", "#ifndef ORDER_ARENA_BYTES\n#define ORDER_ARENA_BYTES 16\n#endif")
    return GeneratedModel(toy.info, {"order.h": header, "order.cc": ARENA_SOURCE}, ())


def empty_tree(folder: Path) -> TflmTree:
    """A library without objects."""
    library = folder / "libtensorflow-microlite.a"
    library.write_bytes(b"!<arch>\n")
    return TflmTree(folder, library, (), cmsis_nn=False)


@pytest.fixture
def cpp() -> None:
    """Skips where C++ for cores is not installed."""
    if shutil.which(CPP_PROGRAM) is None or shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("needs C++ for Cortex-M: apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib")
    try:
        locate_cpp(locate(GCC))
    except ToolError as e:
        pytest.skip(f"needs C++ for Cortex-M: {e.message}; {e.hint}")


@pytest.mark.usefixtures("cpp")
@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m4"])
def test_constructors_run_in_order(tmp_path: Path, name: str) -> None:
    """Objects with static storage are made before the application starts: by priority, then in the order of the source."""
    target = load_target(name)
    firmware = build_firmware(order_model(), target, toolchain=GCC, output=tmp_path / "out", tflm=empty_tree(tmp_path))
    assert firmware.toolchain == f"{locate(GCC).version}, TensorFlow Lite Micro with reference kernels"
    with open_emulator(firmware, target) as device:
        assert device.run([b"\x00"]) == [b"abcdev"]
    text = (tmp_path / "out" / "firmware.map").read_text(encoding="utf-8")
    assert str(tmp_path) not in text


@pytest.mark.usefixtures("cpp")
@pytest.mark.parametrize("name", ["cortex-m4", "nucleo-f446re", "qemu-mps3-an547"])
def test_the_arena_is_found_on_a_core_like_the_target_s(tmp_path: Path, name: str) -> None:
    """For an emulated core, a board with that core, and a core that QEMU emulates: what the model needs to start, not what it uses."""
    if name.startswith("qemu") and shutil.which(PROGRAM) is None:
        pytest.skip(f"needs {PROGRAM}: apt-get install qemu-system-arm")
    target = load_target(name)
    assert find_arena(arena_model(), target, empty_tree(tmp_path), GCC) == ExactArena(
        1040, f"{target.core.value} and TensorFlow Lite Micro with reference kernels"
    )


@pytest.mark.usefixtures("cpp")
@pytest.mark.parametrize("name", ["cortex-m4", "qemu-mps3-an547"])
def test_an_arena_that_is_too_small_may_fault(tmp_path: Path, name: str) -> None:
    """A library with assertions stops the core in an arena that is too small: the search goes on, and finds the same."""
    if name.startswith("qemu") and shutil.which(PROGRAM) is None:
        pytest.skip(f"needs {PROGRAM}: apt-get install qemu-system-arm")
    toy = arena_model()
    source = toy.files["order.cc"].replace("given = bytes;", "given = bytes; if (bytes < 1040) __builtin_trap();")
    found = find_arena(GeneratedModel(toy.info, {**toy.files, "order.cc": source}, ()), load_target(name), empty_tree(tmp_path), GCC)
    assert found is not None and found.bytes == 1040


@pytest.mark.usefixtures("cpp")
def test_a_model_that_faults_in_any_arena_says_where(tmp_path: Path) -> None:
    """A fault with all the memory there is says where the core stopped."""
    toy = arena_model()
    source = toy.files["order.cc"].replace("given = bytes;", "__builtin_trap();")
    with pytest.raises(DeviceError, match="order_init"):
        find_arena(GeneratedModel(toy.info, {**toy.files, "order.cc": source}, ()), load_target("cortex-m4"), empty_tree(tmp_path), GCC)


@pytest.mark.usefixtures("cpp")
def test_without_an_emulated_core_there_is_no_exact_arena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without QEMU, or for a model too large for the emulated core, nothing is claimed; a model that never starts is an error."""
    target, tree = load_target("qemu-mps3-an547"), empty_tree(tmp_path)
    monkeypatch.setattr("edgecompress.device.qemu.PROGRAM", "qemu-system-nowhere")
    assert find_arena(arena_model(), target, tree, GCC) is None
    toy = arena_model()
    large = toy.files["order.cc"].replace("static size_t", "static const unsigned char weights[9 << 20] = {1};\nstatic size_t")
    large = large.replace("return 700;", "return weights[given] + 700u;")
    assert find_arena(GeneratedModel(toy.info, {**toy.files, "order.cc": large}, ()), load_target("cortex-m4"), tree, GCC) is None
    never = toy.files["order.cc"].replace("bytes < 1040", "true")
    with pytest.raises(ModelError, match="does not start it on cortex-m4"):
        find_arena(GeneratedModel(toy.info, {**toy.files, "order.cc": never}, ()), load_target("cortex-m4"), tree, GCC)


@pytest.mark.usefixtures("cpp")
def test_another_toolchain_has_no_cpp(tmp_path: Path) -> None:
    """zig's compiler has no C++ library for cores: asked for, it is refused with what to install."""
    with pytest.raises(UserError, match="cannot be linked with the toolchain zig") as caught:
        build_firmware(order_model(), load_target("cortex-m4"), output=tmp_path / "out", tflm=empty_tree(tmp_path))
    assert "--toolchain gcc" in caught.value.hint and "libstdc++-arm-none-eabi-newlib" in caught.value.hint


def test_zig_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """`--engine tflm --toolchain zig` is an error whatever folder was named."""
    model = tmp_path / "m.tflite"
    model.write_bytes(tiny_classifier())
    with pytest.raises(UserError, match="toolchain zig"):
        build("cortex-m4", model, engine=Engine.TFLM, toolchain="zig", tflm_dir=tmp_path, output=tmp_path / "out")


def test_the_folder_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder the error says how to name one; the variable is taken when the option is missing."""
    monkeypatch.delenv("EDGECOMPRESS_TFLM_DIR", raising=False)
    model = tmp_path / "m.tflite"
    model.write_bytes(tiny_classifier())
    with pytest.raises(UserError, match="no folder of it was named") as caught:
        build("cortex-m4", model, engine=Engine.TFLM, output=tmp_path / "out")
    assert "--tflm-dir" in caught.value.hint
    monkeypatch.setenv("EDGECOMPRESS_TFLM_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"nowhere: expected a tree of TensorFlow Lite Micro, but .* is missing"):
        build("cortex-m4", model, engine=Engine.TFLM, output=tmp_path / "out")


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--engine", "tflm", "--tflm-dir", "."], "expected a tree of TensorFlow Lite Micro"),
        (["--tflm-dir", "."], "--tflm-dir has no effect here"),
        (["--engine", "tflm", "--keep-input"], "cannot keep inputs"),
    ],
)
def test_the_command_line_refuses_in_one_sentence(
    extra: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong folder, one that has no effect, and an option that the engine cannot keep: exit code 2, a sentence and a hint."""
    monkeypatch.chdir(tmp_path)
    Path("m.tflite").write_bytes(tiny_classifier())
    assert main(["build", "cortex-m4", "m.tflite", *extra]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert sentence in error and hint.startswith("hint: ")


@pytest.mark.parametrize(("used", "needed"), [(500, 512), (500, 1024), (512, 528), (1600, 1600), (16, 160_000)])
def test_the_smallest_arena_is_found(used: int, needed: int) -> None:
    """A model that needs more to start than it uses afterwards gets what it needs, in few attempts and none below what it uses."""
    tried: list[int] = []

    def attempt(size: int) -> tuple[bool, int]:
        tried.append(size)
        return size >= needed, used if size >= needed else 0

    assert smallest_arena(attempt, 160_000) == needed
    assert min(tried) >= used and len(tried) < 20
    assert smallest_arena(lambda size: (False, 0), 160_000) is None


def test_the_probe_asks_the_model_alone() -> None:
    """The probe's header names the model's functions and input sizes, and takes the model's own least arena out of the way."""
    probe = arena_probe(order_model(), 4096)
    assert probe.info.name == "ec_probe" and probe.info.arena_bytes == 4096 and probe.info.engine is Engine.TFLM
    assert probe.files["order.h"].startswith("#define ORDER_ARENA_BYTES 0\n")
    header = probe.files["ec_probe.h"]
    assert "#define EC_PROBE_INIT order_init\n" in header and "#define EC_PROBE_INPUT_BYTES 1\n" in header
    assert probe.kernels == ("tflm/arena_probe.c",)


@pytest.mark.parametrize("core", list(Core))
def test_every_core_has_an_emulated_twin(core: Core) -> None:
    """For each core there is an emulated device, which takes over the target's FPU and SIMD."""
    target = next(load_target(name) for name in _TARGETS if load_target(name).core is core)
    twin = emulated_twin(target)
    assert (twin.core, twin.fpu, twin.simd) == (core, target.fpu, target.simd)
    assert twin.link.kind in ("emulator", "qemu")


def test_a_twin_has_the_fpu_of_its_target() -> None:
    """A target without the FPU that its core can have gets a twin without one."""
    soft = load_target("cortex-m4").model_copy(update={"fpu": Fpu.NONE})
    assert emulated_twin(soft).fpu is Fpu.NONE


_TARGETS = ["microbit", "cortex-m0plus", "stm32vldiscovery", "nucleo-f446re", "nucleo-h743zi2", "pico2", "qemu-mps3-an547"]
