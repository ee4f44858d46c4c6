"""The build: sizes that add up, the same bytes again, errors that say what to do, and no half-written results."""

from __future__ import annotations

import dataclasses
import shutil
import stat
from pathlib import Path

import pytest
from toy_firmware import toy_model

from edgecompress.artifact import Engine
from edgecompress.build import GCC, ZIG, build_firmware, find_toolchain, read_firmware
from edgecompress.build.toolchain import locate
from edgecompress.elf import read_elf
from edgecompress.errors import BudgetError, ModelError, OutputError, TargetError, ToolError, UserError
from edgecompress.target import load_target

M4 = load_target("cortex-m4")
MACHINE = load_target("qemu-mps2-an386")

needs_gcc = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc: apt install gcc-arm-none-eabi")


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    """A firmware with the serial application, which has .data, .bss and more code than the model."""
    return build_firmware(toy_model(), MACHINE, output=tmp_path_factory.mktemp("machine") / "out")


def changed(target, **facts):
    return target.model_copy(update=facts)


def with_region(target, use, size):
    regions = tuple(region.model_copy(update={"bytes": size}) if region.use == use else region for region in target.memory)
    return changed(target, memory=regions)


def test_the_sizes_add_up_to_the_loadable_bytes(firmware):
    """flash_bytes is what another ELF reader finds to load, and each part is what its sections hold."""
    from elftools.elf.elffile import ELFFile

    with firmware.elf.open("rb") as stream:
        elf = ELFFile(stream)
        loadable = sum(segment["p_filesz"] for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD")
        held = {section.name: section["sh_size"] for section in elf.iter_sections() if section["sh_flags"] & 2}
        stored = sum(
            section["sh_size"] for section in elf.iter_sections() if section["sh_flags"] & 2 and section["sh_type"] != "SHT_NOBITS"
        )
    sizes = firmware.sizes
    assert sizes.flash_bytes == sizes.code_bytes + sizes.model_bytes + sizes.harness_bytes == loadable == stored
    assert sizes.model_bytes == held[".ec_model"] == 16
    assert sizes.arena_bytes == held[".ec_arena"] == 64
    assert sizes.static_ram_bytes == held[".data"] + held[".bss"] > 0
    assert held[".ec_stack"] == MACHINE.stack_bytes


def test_code_bytes_are_the_models_alone(firmware, tmp_path):
    """The model's code is the same size in a firmware with a serial application and in one without; the harness is not."""
    bare = build_firmware(toy_model(), M4, output=tmp_path / "out")
    assert bare.sizes.code_bytes == firmware.sizes.code_bytes
    assert 100 < bare.sizes.code_bytes < 200
    assert bare.sizes.harness_bytes < firmware.sizes.harness_bytes / 5


def test_a_firmware_file_alone_is_enough(firmware, tmp_path):
    """What `read_firmware` finds in a copy of the ELF is what the build said."""
    copy = tmp_path / "moved.elf"
    shutil.copy(firmware.elf, copy)
    assert read_firmware(copy) == dataclasses.replace(firmware, elf=copy)


def test_the_same_input_gives_the_same_bytes_anywhere(tmp_path):
    """Two builds in different folders, one with blanks and letters beyond ASCII, are equal, and hold no path of this machine."""
    plain = build_firmware(toy_model(), M4, output=tmp_path / "a").elf.read_bytes()
    odd = build_firmware(toy_model(), M4, output=tmp_path / "mit Leerzeichen und Ümläut" / "日本").elf.read_bytes()
    assert plain == odd
    for path in (str(tmp_path), str(Path.home()), str(Path(__file__).parents[2])):
        assert path.encode() not in plain


def test_a_read_only_installation_in_an_odd_place_builds(tmp_path, monkeypatch):
    """The firmware folder may be read-only, and its path may hold blanks and letters beyond ASCII."""
    from edgecompress.build import firmware as room
    from edgecompress.resources import resource_dir

    copy = tmp_path / "site päckages" / "firmware"
    shutil.copytree(resource_dir("firmware"), copy)
    folders = [path for path in (copy, *copy.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setattr(room, "resource_dir", lambda name: copy)
    try:
        moved = build_firmware(toy_model(), M4, output=tmp_path / "moved").elf.read_bytes()
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)
    assert moved == build_firmware(toy_model(), M4, output=tmp_path / "again").elf.read_bytes()


@needs_gcc
def test_gcc_builds_for_every_core_too(tmp_path):
    """--toolchain gcc gives firmware whose parts add up as zig's do, for each core."""
    for name in ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "qemu-mps3-an547"):
        built = build_firmware(toy_model(), load_target(name), toolchain=GCC, output=tmp_path / name)
        assert built.toolchain.startswith("gcc ")
        assert built.sizes.model_bytes == 16
        assert 100 < built.sizes.code_bytes < 200
        assert built.sizes.flash_bytes == read_elf(built.elf).loadable_bytes


@pytest.mark.parametrize("toolchain", [ZIG, pytest.param(GCC, marks=needs_gcc)])
def test_flags_that_miss_the_target_stop_the_build(tmp_path, monkeypatch, toolchain):
    """Compilers take an incomplete core without a word; the start-up's checks do not."""
    from edgecompress.build import cortex_m

    soft = changed(M4, fpu=load_target("cortex-m3").fpu)
    flags = cortex_m.core_flags(toolchain, soft)
    monkeypatch.setattr(cortex_m, "core_flags", lambda toolchain, target: flags)
    with pytest.raises(ToolError, match="the target has a single-precision FPU, but the compiler builds for another"):
        build_firmware(toy_model(), M4, toolchain=toolchain, output=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_too_large_a_model_for_flash_says_by_how_much(tmp_path):
    """Flash: the bytes beyond, and the largest constant; nothing is left behind."""
    small = with_region(M4, "flash", 8192)
    with pytest.raises(BudgetError, match=r"needs 10,\d\d\d B of flash, (\d,\d\d\d) B more than the 8,192 B") as caught:
        build_firmware(toy_model(weight_bytes=10_000), small, output=tmp_path / "out")
    assert "the largest tensor is toy_weights with 10,000 B" in caught.value.message
    assert not list(tmp_path.iterdir())


def test_too_large_an_arena_says_by_how_much(tmp_path):
    """RAM: the bytes beyond, and the largest buffer of the plan, before anything is compiled."""
    small = with_region(M4, "ram", 16384)
    with pytest.raises(BudgetError, match="needs 20,480 B of RAM, 4,096 B more than the 16,384 B there are") as caught:
        build_firmware(toy_model(arena_bytes=16384), small, output=tmp_path / "out")
    assert "the largest tensor is sum with 16,352 B" in caught.value.message


def test_static_data_counts_against_ram(tmp_path):
    """An arena that fits alone does not fit beside the application's own data; that is found at link time, in the same words."""
    tight = with_region(MACHINE, "ram", 4096 + 64 + 128)
    with pytest.raises(BudgetError, match=r"B more than the 4,288 B there are \(arena 64 B, stack 4,096 B, static data \d+ B\)"):
        build_firmware(toy_model(), tight, output=tmp_path / "out")


def test_exactly_as_large_as_the_target_fits(tmp_path):
    """The budget is inclusive: as many bytes as needed are enough, one word fewer is not."""
    needed = build_firmware(toy_model(), M4, output=tmp_path / "any").sizes.flash_bytes
    assert build_firmware(toy_model(), with_region(M4, "flash", needed), output=tmp_path / "fits").sizes.flash_bytes == needed
    with pytest.raises(BudgetError, match="4 B more than"):
        build_firmware(toy_model(), with_region(M4, "flash", needed - 4), output=tmp_path / "short")


def test_tflm_cannot_be_linked_from_packages(tmp_path):
    """The other engine's library comes from the user, and the error says how to name it."""
    generated = toy_model()
    other = dataclasses.replace(generated, info=dataclasses.replace(generated.info, engine=Engine.TFLM))
    with pytest.raises(UserError, match="links TensorFlow Lite Micro") as caught:
        build_firmware(other, M4, output=tmp_path / "out")
    assert "--tflm-dir" in caught.value.hint


def test_a_board_that_is_not_there_is_named(tmp_path):
    """A target file of the user's may name a board that this version lacks."""
    with pytest.raises(TargetError, match="board 'nucleo-f411re' is no folder"):
        build_firmware(toy_model(), changed(M4, board="nucleo-f411re"), output=tmp_path / "out")


def test_a_failed_build_leaves_the_last_good_one(tmp_path):
    """A compiler error says its last lines; the firmware that was there stays, and no temporary folder does."""
    good = build_firmware(toy_model(), M4, output=tmp_path / "out").elf.read_bytes()
    with pytest.raises(ToolError, match="undeclared identifier 'nonsense'"):
        build_firmware(toy_model(before_step_1="nonsense;"), M4, output=tmp_path / "out")
    assert (tmp_path / "out" / "firmware.elf").read_bytes() == good
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_output_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    """A file where the folder should be is refused before the compiler starts."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        build_firmware(toy_model(), M4, output=tmp_path / "file" / "out")
    with pytest.raises(OutputError, match="cannot be written"):
        build_firmware(toy_model(), M4, output=tmp_path / "file")


def test_an_unknown_or_missing_toolchain_says_what_to_do(monkeypatch):
    """A wrong name lists the right ones; a missing program comes with the package that holds it."""
    with pytest.raises(UserError, match="no toolchain called 'iar'") as wrong:
        find_toolchain("iar")
    assert wrong.value.hint == "choose zig or gcc"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="arm-none-eabi-gcc is not on PATH") as missing:
        locate(GCC)
    assert "gcc-arm-none-eabi" in missing.value.hint


def test_a_file_that_is_no_firmware_is_refused(firmware, tmp_path):
    """Missing, empty, foreign, truncated and manifest-less files are one sentence each."""
    with pytest.raises(ModelError, match="cannot be read"):
        read_firmware(tmp_path / "absent.elf")
    path = tmp_path / "x.elf"
    whole = firmware.elf.read_bytes()
    for data, sentence in ((b"", "is not an ELF file"), (b"TFL3" * 9, "is not an ELF file"), (whole[:20], "header is cut short")):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=sentence):
            read_firmware(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is a damaged ELF file"):
        read_firmware(path)
    path.write_bytes(whole.replace(b".ec_manifest", b".ec_manifesu"))
    with pytest.raises(ModelError, match="has no manifest"):
        read_firmware(path)
    path.write_bytes(whole.replace(b'{"schema":1,', b'{"schema":7,'))
    with pytest.raises(ModelError, match="schema 7; this version reads up to 1"):
        read_firmware(path)
    path.write_bytes(whole.replace(b'"arena_bytes":64', b'"arena_bytes":{}'))
    with pytest.raises(ModelError, match=r"manifest's model\.arena_bytes"):
        read_firmware(path)


def test_damaged_firmware_never_crashes_the_reader(firmware, tmp_path):
    """Flipped bits in the ELF's tables and manifest give a Firmware or a ModelError, nothing else."""
    import random

    random.seed(1)
    whole = firmware.elf.read_bytes()
    path = tmp_path / "x.elf"
    tables = int.from_bytes(whole[32:36], "little")
    manifest = whole.index(b'{"schema"')
    places = [*range(4, 52), *range(52, 180), *range(tables, len(whole)), *range(manifest, manifest + 800)]
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        data[random.choice(places)] ^= 1 << random.randrange(8)
        path.write_bytes(data)
        try:
            read_firmware(path)
        except ModelError:
            refused += 1
    assert refused > 30
