"""Targets as data: every shipped file loads, and every wrong one is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompress.errors import TargetError
from edgecompress.resources import resource_dir
from edgecompress.target import Core, EmulatorLink, QemuLink, all_targets, load_target, read_target, target_names

EMULATED = ("cortex-m0plus", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m7")
MACHINES = ("qemu-mps2-an386", "qemu-mps2-an500", "qemu-mps3-an547")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The file of cortex-m4 with one piece of text replaced."""
    text = (resource_dir("targets") / "cortex-m4.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "cortex-m4.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_shipped_targets_are_these():
    """The promised emulated cores and QEMU machines are there, and each file loads."""
    assert set(EMULATED + MACHINES) <= set(target_names())
    assert [target.name for target in all_targets()] == target_names()


@pytest.mark.parametrize("name", EMULATED)
def test_an_emulated_core_claims_no_real_part(name):
    """An emulated core has 8 MB of flash, 4 MB of RAM, no clock, and says that nobody sells it."""
    target = load_target(name)
    assert (target.flash_bytes, target.ram_bytes) == (8 << 20, 4 << 20)
    assert not target.real_part
    assert target.clock.hz is None
    assert isinstance(target.link, EmulatorLink)


@pytest.mark.parametrize("name", MACHINES)
def test_a_qemu_machine_resolves_single_instructions(name):
    """An instruction is more than two ticks of the counter, so ticks name one count of instructions; and there is no clock to report."""
    link = load_target(name).link
    assert isinstance(link, QemuLink)
    assert link.counter_hz * 2**link.icount_shift / 1e9 > 2
    assert load_target(name).clock.hz is None


def test_every_board_of_a_target_is_a_folder():
    """The folder that starts a shipped target's board exists."""
    for target in all_targets():
        assert (resource_dir("firmware") / "boards" / target.board).is_dir(), target.name


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('core = "cortex-m4"', 'core = "cortex-m99"', "core: should be 'cortex-m0'.*'cortex-m99' came"),
        ('simd = "dsp"', 'simd = "mve"', "cortex-m4 with simd = 'mve' does not exist; expected 'dsp'"),
        ('fpu = "single"', 'fpu = "double"', "cortex-m4 with fpu = 'double' does not exist"),
        ('use = "ram"', 'use = "flash"', "memory needs exactly one region with use = 'flash'"),
        ("origin = 0x20000000", "origin = 0x1000", "memory regions FLASH and RAM overlap"),
        ("origin = 0x20000000", "origin = 0xfff00000", "memory region RAM ends beyond 4 GB"),
        ("bytes = 0x400000", "bytes = 0", "memory.1.bytes: should be greater than 0; 0 came"),
        ("bytes = 0x400000", 'bytes = "4 MB"', "memory.1.bytes: .*'4 MB' came"),
        ('kind = "emulator"', 'kind = "telepathy"', "link: .*'telepathy'"),
        ('cpu = "cortex-m4"', 'cpu = "cortex-m5"', "link.emulator.cpu: .*'cortex-m5' came"),
        ('board = "emulator"\n', "", "board: field required"),
        ('board = "emulator"', 'board = "../app"', "board: string should match pattern"),
        ("schema = 1", "schema = 2", "schema: should be 1; 2 came"),
        ("real_part = false", "real_part = false\ncolour = 'red'", "colour: there is no such setting; .red. came"),
        ('core = "unicorn', 'kore = "unicorn', "sources lacks an entry for core"),
        ('name = "cortex-m4"', 'name = "cortex-m5"', "name is 'cortex-m5' but the file is called cortex-m4.toml"),
        ("schema = 1", "schema == 1", "is not TOML"),
        (
            "real_part = false",
            "real_part = false\nstack_bytes = 496",
            "stack_bytes: should be greater than or equal to 512; 496 came",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, old, new, sentence):
    """The error names the file, the field, what was expected and what came, on one line, with a hint."""
    with pytest.raises(TargetError, match=sentence) as caught:
        read_target(changed(tmp_path, old, new))
    assert "cortex-m4.toml" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_no_text_is_refused(tmp_path):
    """Bytes that are not UTF-8, and a path that is not there, are errors about that file."""
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match=r"x\.toml: cannot be read"):
        read_target(path)
    with pytest.raises(TargetError, match=r"absent\.toml: cannot be read"):
        read_target(tmp_path / "absent.toml")


def test_an_unknown_name_lists_the_known_ones():
    """A wrong name is answered with the names there are."""
    with pytest.raises(TargetError, match="no target called 'cortex-m99'") as caught:
        load_target("cortex-m99")
    assert "cortex-m4" in caught.value.hint


def test_a_path_loads_as_well_as_a_name(tmp_path):
    """A new board is a new file anywhere: no Python."""
    path = changed(tmp_path, 'core = "cortex-m4"', 'core = "cortex-m7"')
    assert load_target(str(path)).core is Core.CORTEX_M7


def test_settings_reach_the_boards_c_as_macros(tmp_path):
    """Numbers become unsigned literals, letters characters, in the order of their names."""
    from edgecompress.build.glue import render_board

    old = "[sources]"
    target = read_target(changed(tmp_path, old, '[settings]\nuart_port = "A"\npll_n = 180\n\n[sources]\nsettings = "by hand"'))
    assert "#define EC_BOARD_PLL_N 180u\n#define EC_BOARD_UART_PORT 'A'\n" in render_board(target)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("PLL = 1", "settings"),
        ("pll = -1", "settings"),
        ('port = "AB"', "settings"),
        ("pll = 1.5", "settings"),
    ],
)
def test_settings_that_c_could_not_take_are_refused(tmp_path, settings, sentence):
    """Only lower-case names, whole numbers and one letter reach a macro: nothing else can be smuggled into C."""
    path = changed(tmp_path, "[sources]", f'[settings]\n{settings}\n\n[sources]\nsettings = "by hand"')
    with pytest.raises(TargetError, match=sentence):
        read_target(path)


def test_settings_need_a_source(tmp_path):
    """As every other fact of a target."""
    with pytest.raises(TargetError, match="sources lacks an entry for settings"):
        read_target(changed(tmp_path, "[sources]", "[settings]\npll = 1\n\n[sources]"))
