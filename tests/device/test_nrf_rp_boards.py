"""Boards with an nRF or an RP chip: images that lie where the parts want them, what boot ROMs look for, UF2 files, clock set-ups against
registers that answer as the data sheets say, and the micro:bit in QEMU."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from sample_models import tiny_classifier
from simulated_nrf_rp import Nrf, Rp, Ssi
from toy_firmware import SAMPLE, TOUCHED_BYTES, toy_model, toy_output

from edgecompress.artifact import Firmware
from edgecompress.build import build_firmware
from edgecompress.build.boot2 import BOOT2_BYTES, seal_boot2
from edgecompress.build.cortex_m import Speed, compile_flags
from edgecompress.build.toolchain import Toolchain, locate
from edgecompress.build.uf2 import to_uf2
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator, open_qemu, open_serial, wire
from edgecompress.device.serial import SerialDevice
from edgecompress.elf import read_elf
from edgecompress.errors import DeviceError, TargetError, ToolError
from edgecompress.numerics.reference import run_reference
from edgecompress.resources import resource_dir
from edgecompress.target import Core, Fpu, QemuLink, SerialLink, Target, all_targets, load_target, read_target

BOARDS = ("microbit", "qemu-microbit", "nrf52840-dk", "pico", "pico2")
PICOS = ("pico", "pico2")
REAL = ("microbit", "nrf52840-dk", "pico", "pico2")
VECTORS = {"pico": 0x10000100}
"""Where the vector table is, if not at the start of flash."""
FAMILY = {"pico": 0xE48BFF56, "pico2": 0xE48BFF59}
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wundef", "-Wvla", "-Wstrict-prototypes")

needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None,
    reason="needs qemu-system-arm: apt-get install qemu-system-arm (.ci/packages.txt, group serial)",
)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Firmware]:
    """Builds a toy for a target, each only once."""
    built: dict[tuple[str, str], Firmware] = {}

    def build(target: str, *, breakage: str = "") -> Firmware:
        if (target, breakage) not in built:
            toy = toy_model(before_step_1=breakage)
            built[target, breakage] = build_firmware(toy, load_target(target), output=tmp_path_factory.mktemp("toy") / "out")
        return built[target, breakage]

    return build


@pytest.fixture
def boot(build) -> Callable[..., Rp | Nrf]:
    """A target's firmware on its simulated chip, without some of what becomes ready; not started yet."""

    def boot(name: str, *dead: str, has_dwt: bool = True) -> Rp | Nrf:
        target, image = load_target(name), read_elf(build(name).elf)
        if name in PICOS:
            return Rp(image, target, vectors=VECTORS.get(name, target.region("flash").origin), dead=dead, has_dwt=has_dwt)
        return Nrf(image, target, dead=dead, has_dwt=has_dwt)

    return boot


def ask(chip: Rp | Nrf, body: str) -> str:
    """The body of the chip's last answer to a frame."""
    lines = wire.LineReader().feed(chip.say(wire.encode_frame(1, body)).encode("ascii"))
    return [wire.decode_answer(line).body for line in lines if wire.is_answer(line)][-1]


def flash_of(firmware: Firmware, target: Target, size: int) -> bytes:
    """The first bytes of flash, as loaded."""
    memory = bytearray(size)
    origin = target.region("flash").origin
    for segment in read_elf(firmware.elf).segments:
        at = segment.load_address - origin
        if segment.data and 0 <= at < size:
            memory[at : at + len(segment.data)] = segment.data[: size - at]
    return bytes(memory)


# ---- images


def test_every_target_of_these_families_is_tested():
    """Each target whose board is an nRF or an RP chip is in the lists here."""
    assert {target.name for target in all_targets() if target.board in ("nrf51", "nrf52", "rp2040", "rp2350")} == set(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_the_image_lies_where_the_part_wants_it(name, build):
    """Vectors where the part reads them, stack top and Thumb entry in them, code in flash, data in RAM, nothing outside of either."""
    target, firmware = load_target(name), build(name)
    image = read_elf(firmware.elf)
    flash, ram = target.region("flash"), target.region("ram")
    at = VECTORS.get(name, flash.origin)
    vectors = struct.unpack("<16I", flash_of(firmware, target, 1024)[at - flash.origin :][:64])
    assert vectors[0] == image.symbol("ec_stack_top") == ram.origin + target.stack_bytes
    assert vectors[1] == image.symbol("Reset_Handler") | 1 == image.entry | 1
    assert vectors[3] == image.symbol("ec_fault_handler") | 1
    assert all(vector == 0 or flash.origin < vector - 1 < flash.origin + flash.bytes for vector in vectors[1:])
    assert min(segment.load_address for segment in image.segments if segment.data) == flash.origin
    for segment in image.segments:
        assert flash.origin <= segment.load_address <= flash.origin + flash.bytes - len(segment.data) or not segment.data
        where = ram if segment.address >= ram.origin else flash
        assert where.origin <= segment.address <= where.origin + where.bytes - segment.memory_bytes
    assert image.sections[".ec_stack"].address == ram.origin
    assert all(image.sections[section].address >= ram.origin for section in (".ec_arena", ".data", ".bss"))
    assert flash.origin < image.sections[".ec_model"].address < flash.origin + flash.bytes
    assert firmware.sizes.flash_bytes <= target.flash_bytes


@pytest.mark.parametrize("name", BOARDS)
def test_the_float_abi_fits_the_core(name, build):
    """The image's attributes say the target's architecture, FPU and way to pass floats."""
    target = load_target(name)
    with build(name).elf.open("rb") as file:
        attributes = {
            attribute.tag: attribute.value
            for section in ELFFile(file).get_section_by_name(".ARM.attributes").iter_subsections()
            for part in section.iter_subsubsections()
            for attribute in part.iter_attributes()
        }
    # Addenda to the Arm ABI: v6S-M (v6-M with an SVC instruction), v7E-M, v8-M.mainline.
    architectures = {Core.CORTEX_M0: 12, Core.CORTEX_M0PLUS: 12, Core.CORTEX_M4: 13, Core.CORTEX_M33: 17}
    assert attributes["TAG_CPU_ARCH"] == architectures[target.core]
    fpu = {Core.CORTEX_M4: 6, Core.CORTEX_M33: 8}.get(target.core)  # VFPv4-D16, FPv5-D16
    assert attributes.get("TAG_FP_ARCH") == fpu
    assert attributes.get("TAG_ABI_VFP_ARGS", 0) == (0 if target.fpu is Fpu.NONE else 1)


@pytest.mark.parametrize("name", BOARDS)
def test_targets_say_their_clock_and_their_serial_port(name):
    """Real boards have a clock and a serial link at the rate that the C is given; QEMU's machine has neither clock nor rate."""
    target = load_target(name)
    if name in REAL:
        assert isinstance(target.link, SerialLink)
        assert target.link.baud == target.settings["baud"] == 115200
        assert target.clock.hz
    else:
        assert isinstance(target.link, QemuLink)
        assert target.clock.hz is None
        assert target.link.counter_hz * 2**target.link.icount_shift / 1e9 > 2


@pytest.mark.parametrize("name", ["microbit", "nrf52840-dk", "pico", "pico2"])
def test_the_boards_c_compiles_without_a_warning(name, build, tmp_path):
    """A board's own files, with more warnings than the build turns on."""
    target = load_target(name)
    compiler, firmware = locate(Toolchain.ZIG), resource_dir("firmware")
    sources = sorted((firmware / "boards" / target.board).glob("*.c"))
    assert sources
    command = [*compiler.command, *compile_flags(Toolchain.ZIG, target, Speed.SMALL), *WARNINGS, "-c"]
    command += [f"-I{firmware / 'include'}", f"-I{build(name).elf.parent / 'generated'}", *map(str, sources)]
    environment = {**os.environ, **compiler.environment}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("pico", {"tx_pin": 4}, "its pins must be some of its own"),
        ("pico", {"pll_feedback": 134}, "750 to 1600 MHz"),
        ("pico2", {"pll_divider1": 4}, "faster than the data sheet allows"),
        ("microbit", {"baud": 115201}, "baud must be 9600"),
        ("nrf52840-dk", {"rx_pin": 48}, "two different pins that the part has"),
    ],
)
def test_impossible_settings_stop_the_build(name, settings, sentence, tmp_path):
    """A setting that the chip cannot have is an error of the compiler, in the board's own words."""
    target = load_target(name)
    wrong = target.model_copy(update={"settings": target.settings | settings})
    with pytest.raises(ToolError, match=sentence):
        build_firmware(toy_model(), wrong, output=tmp_path / "out")


# ---- what boot ROMs look for


def independent_crc(data: bytes) -> int:
    """CRC-32 with the highest bit first and no inversion, by way of zlib's, which is the mirror image of it."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def test_boot2_has_its_checksum(build):
    """The first 256 bytes of a Pico's flash end with the CRC-32 of the rest, which another way of computing it finds too."""
    assert independent_crc(b"123456789") == 0x0376E6E7  # the check value of CRC-32/MPEG-2 in the catalogues
    block = flash_of(build("pico"), load_target("pico"), BOOT2_BYTES)
    assert independent_crc(block[:252]) == int.from_bytes(block[252:], "little")
    image = read_elf(build("pico").elf)
    assert image.symbol("vectors") == 0x10000100


def test_boot2_must_fit():
    """252 bytes of code are taken as they are; one more is refused with both numbers."""
    assert seal_boot2(b"\x01" * 252)[:252] == b"\x01" * 252
    with pytest.raises(TargetError, match="253 bytes; the boot ROM takes 252"):
        seal_boot2(b"\x01" * 253)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc: apt install gcc-arm-none-eabi")
@pytest.mark.parametrize("name", PICOS)
def test_gcc_builds_what_boot_roms_look_for_too(name, build, tmp_path):
    """Both compilers' assemblers and linkers give the same boot2 and the same IMAGE_DEF at the same place."""
    target = load_target(name)
    gcc = build_firmware(toy_model(), target, toolchain=Toolchain.GCC, output=tmp_path / "out")
    where = slice(0, BOOT2_BYTES) if name == "pico" else slice(64, 84)
    assert flash_of(gcc, target, 1024)[where] == flash_of(build(name), target, 1024)[where]
    assert gcc.sizes.flash_bytes == read_elf(gcc.elf).loadable_bytes


@pytest.mark.parametrize("quad_enabled", [True, False])
def test_boot2_sets_up_the_flash_chip(quad_enabled, build):
    """On a simulated flash interface boot2 enables four lines once, leaves the chip in read mode and starts the program."""
    import unicorn
    from unicorn import arm_const

    target, image = load_target("pico"), read_elf(build("pico").elf)
    engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    engine.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M0)
    engine.mem_map(0x10000000, 0x10000)
    engine.mem_map(0x20000000, 0x42000)
    engine.mem_map(0x40020000, 0x1000)
    engine.mem_map(0xE000E000, 0x1000)
    engine.mem_write(0x40020000, struct.pack("<7I", 0, 0x56, 0x52, 0x52, 0x52, 0x52, 0x5A))
    flash = flash_of(build("pico"), target, 0x1000)
    engine.mem_write(0x10000000, flash)
    engine.mem_write(0x20041F00, flash[:252])
    ssi = Ssi(engine, quad_enabled=quad_enabled)
    engine.reg_write(arm_const.UC_ARM_REG_SP, 0x20041F00)
    entry = image.symbol("Reset_Handler")
    engine.emu_start(0x20041F01, entry, timeout=5_000_000, count=100_000)
    assert engine.reg_read(arm_const.UC_ARM_REG_PC) == entry
    assert engine.reg_read(arm_const.UC_ARM_REG_SP) == image.symbol("ec_stack_top")
    assert int.from_bytes(engine.mem_read(0xE000ED08, 4), "little") == 0x10000100
    assert ssi.quad_enabled
    assert ssi.stays_in_read_mode
    assert [command[0] for command in ssi.commands if command[0] in (0x01, 0x06)] == ([] if quad_enabled else [0x06, 0x01])
    # As section 4.10 wants it: on, four lines, 32 bits, clk_sys by 2; no command, 32 bits of address and mode byte, 4 clocks' wait.
    assert {at: ssi.registers[at] for at in (0x00, 0x08, 0x10, 0x14)} == {0x00: 0x5F0300, 0x08: 1, 0x10: 1, 0x14: 2}
    assert ssi.registers[0xF4] == 0xA0 << 24 | 4 << 11 | 8 << 2 | 2
    pads = struct.unpack("<7I", engine.mem_read(0x40020000, 28))
    assert pads == (0, 0x61, 0x50, 0x50, 0x50, 0x50, 0x5A)


def test_image_def_is_what_the_boot_rom_looks_for(build):
    """Walked as RP2350 datasheet 5.9 says: in the first 4 KB one block, a program for the Arm core in secure state, linked to itself."""
    flash = flash_of(build("pico2"), load_target("pico2"), 4096)
    starts = [at for at in range(0, 4096, 4) if flash[at : at + 4] == struct.pack("<I", 0xFFFFDED3)]
    assert len(starts) == 1
    at, items = starts[0] + 4, {}
    words = 0
    while flash[at] != 0xFF:
        kind, size = flash[at], flash[at + 1]
        items[kind] = flash[at + 2 : at + 4 * size]
        at, words = at + 4 * size, words + size
    assert int.from_bytes(flash[at + 1 : at + 3], "little") == words
    (image_type,) = struct.unpack("<H", items.pop(0x42))
    assert (image_type & 15, image_type >> 4 & 3, image_type >> 8 & 7, image_type >> 12 & 7, image_type >> 15) == (1, 2, 0, 1, 0)
    assert items == {}
    assert struct.unpack("<iI", flash[at + 4 : at + 12]) == (0, 0xAB123579)
    # No item names a vector table or an entry: so the table at the start of flash counts.
    assert read_elf(build("pico2").elf).symbol("vectors") == 0x10000000
    assert starts[0] == 64


# ---- UF2


@pytest.mark.parametrize("name", PICOS)
def test_uf2_holds_the_image(name, build):
    """Block by block: magic numbers, numbering, 256 bytes each, the family; together whole sectors with the bytes of the ELF."""
    firmware = build(name)
    data = (firmware.elf.parent / "firmware.uf2").read_bytes()
    blocks = [struct.unpack("<8I476sI", data[at : at + 512]) for at in range(0, len(data), 512)]
    memory: dict[int, bytes] = {}
    for number, (first, second, flags, address, size, index, count, family, payload, last) in enumerate(blocks):
        assert (first, second, last) == (0x0A324655, 0x9E5D5157, 0x0AB16F30)
        assert (flags, size, family) == (0x2000, 256, FAMILY[name])
        assert (index, count) == (number, len(blocks))
        assert address % 256 == 0
        assert not any(payload[256:])
        assert address not in memory
        memory[address] = payload[:256]
    assert sorted(memory) == list(range(0x10000000, 0x10000000 + 256 * len(blocks), 256))
    assert len(blocks) % 16 == 0
    flash = b"".join(memory[address] for address in sorted(memory))
    image = read_elf(firmware.elf)
    loaded = 0
    for segment in image.segments:
        at = segment.load_address - 0x10000000
        assert flash[at : at + len(segment.data)] == segment.data or not segment.data
        loaded = max(loaded, at + len(segment.data)) if segment.data else loaded
    assert flash[loaded:] == b"\xff" * (len(flash) - loaded)
    assert len(flash) - loaded < 4096


def test_uf2_of_pieces_that_lie_apart(build):
    """Segments that begin in the middle of a sector, or share one, each go where they belong; what lies between is not written."""
    import dataclasses

    image = read_elf(build("pico").elf)
    piece = image.segments[0]
    parts = [(0x10000FF0, b"a" * 40), (0x10001100, b"b" * 5000), (0x10008010, b"c")]
    segments = tuple(dataclasses.replace(piece, address=at, load_address=at, data=data, memory_bytes=len(data)) for at, data in parts)
    data = to_uf2(dataclasses.replace(image, segments=segments), 7)
    memory = {}
    for at in range(0, len(data), 512):
        (address,) = struct.unpack("<I", data[at + 12 : at + 16])
        memory |= {address + i: byte for i, byte in enumerate(data[at + 32 : at + 288])}
    assert {address >> 12 for address in memory} == {0x10000, 0x10001, 0x10002, 0x10008}
    written = {at + i: byte for at, text in parts for i, byte in enumerate(text)}
    assert {address: byte for address, byte in memory.items() if byte != 0xFF} == written


def test_a_target_without_an_image_entry_has_no_uf2(build):
    """Only where the target file asks for it is there a second file; and the entry needs its source."""
    assert not (build("microbit").elf.parent / "firmware.uf2").exists()
    assert load_target("microbit").image is None


def test_image_entries_are_checked(tmp_path):
    """An unknown format, and an entry without a source, are refused in one sentence."""
    text = (resource_dir("targets") / "pico.toml").read_text(encoding="utf-8")
    path = tmp_path / "pico.toml"
    for old, new, sentence in (
        ('format = "uf2"', 'format = "hex"', "image.format"),
        ("family = 0xe48bff56", "family = 0x1_0000_0000", "image.family"),
        ('image = "github', 'picture = "github', "sources lacks an entry for image"),
    ):
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(TargetError, match=re.escape(sentence)):
            read_target(path)


# ---- clock set-up and UART on simulated registers


@pytest.mark.parametrize("name", REAL)
def test_full_speed_on_simulated_registers(name, boot):
    """The board boots, reaches the target's clock without a step that the chip forbids, says it, and answers on its UART."""
    chip, target = boot(name), load_target(name)
    assert chip.say(b"").endswith("m-init-done\r\nm-ready\r\n")
    assert ask(chip, "clock") == f"ok target={name} ticks_hz={target.clock.hz} clock_hz={target.clock.hz}"
    assert chip.complaints == []
    if isinstance(chip, Rp):
        assert chip.core_hz() == target.clock.hz
        assert abs(chip.baud() / 115200 - 1) < 0.002


@pytest.mark.parametrize("name", PICOS)
@pytest.mark.parametrize(
    ("dead", "expected"),
    [("crystal", None), ("reference", None), ("pll", 12_000_000), ("switch", 12_000_000)],
)
def test_what_does_not_start_is_left_out(name, dead, expected, boot):
    """Each wait ends; the board stays on the crystal, or else on the ring oscillator, says which, and answers."""
    chip = boot(name, dead)
    ring_hz = {"pico": 6_500_000, "pico2": 11_000_000}[name]
    assert chip.say(b"").endswith("m-ready\r\n")
    assert f"ticks_hz={expected or ring_hz} " in ask(chip, "clock")
    assert chip.complaints == []
    # "reference": what the register was told is not what the chip does.
    assert dead == "reference" or chip.core_hz() == expected
    # The ring oscillator's frequency is nominal only where clk_ref, not clk_sys, has it.
    assert not chip.read(chip.clocks + 0x3C) & 1


@pytest.mark.parametrize("name", ["microbit", "nrf52840-dk"])
def test_a_crystal_that_does_not_start(name, boot):
    """The wait ends, and the board goes on with the oscillator inside, which has the same frequency."""
    chip = boot(name, "crystal")
    assert chip.say(b"").endswith("m-ready\r\n")
    assert f"ticks_hz={load_target(name).clock.hz} " in ask(chip, "clock")
    assert chip.complaints == []


@pytest.mark.parametrize("name", ["nrf52840-dk", "pico2"])
def test_a_cycle_counter_that_stands_still_is_no_clock(name, boot):
    """Without a moving DWT counter the board claims no core clock: it is in an emulator."""
    chip = boot(name, has_dwt=False)
    chip.say(b"")
    assert ask(chip, "clock").endswith(" clock_hz=0")


def test_a_small_stack_is_enough_on_the_microbit(boot, build):
    """Loading, running, timing and reading leave more than half a kilobyte of its 2 KB untouched: what the fault handler needs."""
    chip, image = boot("microbit"), read_elf(build("microbit").elf)
    chip.say(b"")
    chip.say(b"profile%name%timestamp%help%db load 16%db " + SAMPLE.hex().encode("ascii") + b"%db print%infer 2 1%results%")
    said = [ask(chip, body) for body in ("info", "input 0", "output 0", "overhead", "begin 0", "load 0 0 " + 22 * "A" + "==")]
    said += [ask(chip, body) for body in (f"end 0 {zlib.crc32(bytes(16)):08x}", "run 1", "steps 0", "read 0 0 16")]
    assert [answer for answer in said if not answer.startswith("ok")] == []
    stack = chip.engine.mem_read(image.symbol("ec_stack_limit"), load_target("microbit").stack_bytes)
    untouched = len(stack) - len(stack.lstrip(b"\0"))
    assert 600 < untouched < len(stack)


def ticks_now(chip: Nrf) -> int:
    return int(ask(chip, "now").split()[1])


def test_the_nrf51s_counter_goes_on_beyond_32_bits(boot):
    """Wraps that nobody looks at are counted by the second timer: after 20 of them, hours later, the time is right to a millisecond."""
    chip = boot("microbit")
    chip.say(b"")
    before, started = ticks_now(chip), chip.cycles
    for wraps in (0.5, 1, 2.75, 20, 3000.25):
        chip.skip(int(wraps * 2**32))
        assert abs((ticks_now(chip) - before) - (chip.cycles - started)) < 16_000


def test_a_wrap_in_the_middle_of_a_reading(boot):
    """Wherever between the readings of its two halves the counter wraps, the time is right."""
    chip = boot("microbit")
    chip.say(b"")
    for ticks in range(0, 90, 2):
        chip.wraps_in = ticks
        now = ticks_now(chip)
        assert 0 <= chip.cycles - now < 16_000, ticks


def test_without_event_system_the_nrf51_sees_one_wrap_between_readings(boot):
    """As in QEMU: no clock is claimed, one wrap between two readings is seen, and two are one too few, as the board's file says."""
    chip = boot("microbit", "ppi")
    chip.say(b"")
    assert ask(chip, "clock").endswith(" ticks_hz=16000000 clock_hz=0")
    before, started = ticks_now(chip), chip.cycles
    chip.skip(2**32 - 100_000)
    assert abs((ticks_now(chip) - before) - (chip.cycles - started)) < 16_000
    before, started = ticks_now(chip), chip.cycles
    chip.skip(2 * 2**32)
    assert (chip.cycles - started) - (ticks_now(chip) - before) > 2**32


# ---- QEMU


@needs_qemu
def test_the_microbit_boots_in_qemu_and_counts(build):
    """The toy's bytes, the same counts in two sessions, steps and memory; and a Cortex-M0 takes what the emulated M0+ takes."""
    measured = []
    for _ in range(2):
        with open_qemu(build("qemu-microbit"), load_target("qemu-microbit")) as device:
            for data in (SAMPLE, bytes(16), bytes(range(16))):
                assert device.run([data]) == [toy_output(data)]
            measured.append(device.measure([SAMPLE], runs=3, warmup=1))
    first, second = measured
    assert first.unit == "instructions"
    assert first.samples == second.samples == (first.first,) * 3
    assert first.ops == second.ops
    assert first.clock_hz is None
    assert first.arena_touched_bytes == TOUCHED_BYTES
    assert 0 < first.stack_bytes < 200
    with open_emulator(build("cortex-m0plus"), load_target("cortex-m0plus")) as device:
        assert device.measure([SAMPLE], runs=1, warmup=0).first == first.first


@needs_qemu
def test_parity_on_the_microbit_in_qemu(tmp_path, record_property):
    """A small classifier fits in 16 KB and gives the reference's bytes, with the same count twice."""
    graph = read_tflite(tiny_classifier(), name="tiny")
    target = load_target("qemu-microbit")
    firmware = build_firmware(generate_aot(graph), target, output=tmp_path / "out")
    rng = np.random.default_rng(5)
    shape = graph.tensor(graph.inputs[0]).shape
    counts = set()
    with open_qemu(firmware, target) as device:
        for _ in range(5):
            x = rng.integers(-128, 128, shape, dtype=np.int8)
            assert device.run([x.tobytes()]) == [run_reference(graph, [x])[graph.outputs[0]].tobytes()]
        x = np.zeros(shape, np.int8)
        for _ in range(2):
            counts.add(device.measure([x.tobytes()], runs=2, warmup=0).samples)
    assert len(counts) == 1
    sizes = firmware.sizes
    ram = sizes.arena_bytes + sizes.static_ram_bytes + target.stack_bytes
    assert ram <= target.ram_bytes
    record_property(
        "result", f"qemu-microbit, tiny classifier: {counts.pop()[0]:,.0f} instructions, {ram:,} B of RAM, {sizes.flash_bytes:,} B"
    )


@needs_qemu
def test_a_fault_on_the_microbit_is_reported(build):
    """A Cortex-M0 has only HardFault and no status registers: the report has the address of the instruction."""
    firmware = build("qemu-microbit", breakage="*(volatile uint32_t *)0xA0200000u = 1;")
    with open_qemu(firmware, load_target("qemu-microbit")) as device, pytest.raises(DeviceError, match=r"exception 3 pc=0000[0-9a-f]{4}"):
        device.run([SAMPLE])


# ---- a Pico in rp2040js


def rp2040js() -> Path | None:
    """The folder that holds node_modules/rp2040js, where one is named."""
    folder = os.environ.get("EDGECOMPRESS_RP2040JS")
    return Path(folder).resolve() if folder and shutil.which("node") else None


needs_rp2040js = pytest.mark.skipif(
    rp2040js() is None,
    reason="needs node, and EDGECOMPRESS_RP2040JS to name a folder in which `npm install rp2040js` was run",
)


@contextmanager
def pico_in_rp2040js(firmware: Firmware, said: dict[str, int]) -> Iterator[SerialDevice]:
    """The firmware's UF2 file in rp2040js; what the chip's clocks are at the end goes to `said`."""
    script = Path(__file__).parent / "rp2040js.mjs"
    command = ["node", str(script), str(rp2040js()), str(firmware.elf.parent / "firmware.uf2")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with open_serial(f"socket://127.0.0.1:{port}", baud=115200, timeout_s=60, clock_check_s=0) as device:
            yield device
        said |= json.loads(process.stdout.readline())


@needs_rp2040js
def test_the_pico_runs_in_rp2040js(tmp_path):
    """boot2, the PLL, both clocks, SysTick and UART0 in an emulator that is not ours: a classifier's bytes, and a clock of 125 MHz."""
    graph = read_tflite(tiny_classifier(), name="tiny")
    firmware = build_firmware(generate_aot(graph), load_target("pico"), output=tmp_path / "out")
    rng, said = np.random.default_rng(5), {}
    with pico_in_rp2040js(firmware, said) as device:
        assert device.clock == wire.Clock("pico", 125_000_000, 125_000_000)
        for _ in range(3):
            x = rng.integers(-128, 128, graph.tensor(graph.inputs[0]).shape, dtype=np.int8)
            assert device.run([x.tobytes()]) == [run_reference(graph, [x])[graph.outputs[0]].tobytes()]
        assert len(set(device.measure([x.tobytes()], runs=3, warmup=1).samples)) == 1
    assert said["clk_sys"] == said["clk_peri"] == 125_000_000
    assert abs(said["baud"] / 115200 - 1) < 0.002


@needs_rp2040js
def test_systick_is_widened_right_in_rp2040js(build):
    """An inference that lets SysTick wrap takes as many cycles a round as one that does not."""
    cycles = []
    for rounds in (500_000, 2_000_000):
        loop = f"for (volatile uint32_t round = 0; round < {rounds}u; round++) {{}}"
        with pico_in_rp2040js(build("pico", breakage=loop), {}) as device:
            cycles.append(round(125 * device.measure([SAMPLE], runs=1, warmup=0).samples[0]))
    assert cycles[0] < 2**24 < cycles[1]
    a_round = (cycles[1] - cycles[0]) / 1_500_000
    assert abs(a_round - round(a_round)) < 0.001
