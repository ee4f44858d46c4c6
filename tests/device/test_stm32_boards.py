"""Boards with an STM32: images that lie where the parts want them, real USART drivers in QEMU, and clock set-ups against registers that
answer as the manuals say."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from sample_models import tiny_classifier
from simulated_stm32 import CCR, DCISW, F405, F411, F446, Chip, Run, stm32f1, stm32f4, stm32h7, stm32l4
from toy_firmware import SAMPLE, TOUCHED_BYTES, toy_model, toy_output

from edgecompress.artifact import Firmware
from edgecompress.build import GCC, ZIG, build_firmware
from edgecompress.build.cortex_m import Speed, compile_flags
from edgecompress.build.glue import render_board
from edgecompress.build.toolchain import locate
from edgecompress.codegen import generate_aot
from edgecompress.convert import read_tflite
from edgecompress.device import open_emulator, open_qemu
from edgecompress.elf import read_elf
from edgecompress.errors import DeviceError, ToolError
from edgecompress.numerics.reference import run_reference
from edgecompress.resources import resource_dir
from edgecompress.target import Core, Fpu, QemuLink, SerialLink, Target, all_targets, load_target
from edgecompress.tools import run_tool

CHIPS: dict[str, Chip] = {
    "nucleo-f446re": stm32f4(2, 8_000_000, F446),
    "nucleo-f411re": stm32f4(2, 8_000_000, F411),
    "qemu-netduinoplus2": stm32f4(1, 25_000_000, F405),
    "nucleo-l4r5zi": stm32l4(lpuart=True, boosts=True),
    "b-l475e-iot01a": stm32l4(lpuart=False, boosts=False),
    "nucleo-h743zi2": stm32h7(8_000_000),
    "stm32vldiscovery": stm32f1(8_000_000),
    "qemu-stm32vldiscovery": stm32f1(8_000_000),
}
FULL_SPEED = {"qemu-netduinoplus2": 168_000_000, "qemu-stm32vldiscovery": 24_000_000}
"""What the firmware of QEMU's machines would reach on the part."""
RESET_HZ = {"stm32f4": 16_000_000, "stm32l4": 4_000_000, "stm32h7": 64_000_000, "stm32f1": 8_000_000}
MACHINES = ("qemu-netduinoplus2", "qemu-stm32vldiscovery")
BENCH = "ic01"
"""A toy under the name of a benchmark whose data are pixels."""

needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None,
    reason="needs qemu-system-arm: apt-get install qemu-system-arm (.ci/packages.txt, group serial)",
)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Firmware]:
    """Builds a toy for a target, each only once."""
    built: dict[tuple[str, str, str], Firmware] = {}

    def build(target: str, *, name: str = BENCH, breakage: str = "") -> Firmware:
        key = (target, name, breakage)
        if key not in built:
            toy = toy_model(name=name, before_step_1=breakage)
            built[key] = build_firmware(toy, load_target(target), output=tmp_path_factory.mktemp("toy") / "out")
        return built[key]

    return build


@pytest.fixture
def boot(build) -> Callable[..., Run]:
    """Boots a target's firmware on its simulated chip, without some of what makes it ready."""

    def boot(name: str, *dead: str, has_dwt: bool = True) -> Run:
        target = load_target(name)
        chip = replace(CHIPS[name], has_dwt=has_dwt)
        return Run(read_elf(build(name).elf), target, chip, frozenset(dead))

    return boot


def test_every_stm32_target_is_tested():
    """Each target whose board is an STM32 has a simulated chip here."""
    assert {target.name for target in all_targets() if target.board.startswith("stm32")} == set(CHIPS)


@pytest.mark.parametrize("name", CHIPS)
def test_the_image_lies_where_the_part_wants_it(name, build):
    """Vectors first in flash, stack top and Thumb entry in them, code in flash, data in RAM, nothing outside of either."""
    target, firmware = load_target(name), build(name)
    image = read_elf(firmware.elf)
    flash, ram = target.region("flash"), target.region("ram")
    first = min(image.segments, key=lambda segment: segment.load_address)
    assert first.load_address == flash.origin
    vectors = struct.unpack("<16I", first.data[:64])
    assert vectors[0] == image.symbol("ec_stack_top") == ram.origin + target.stack_bytes
    assert vectors[1] == image.symbol("Reset_Handler") | 1
    assert image.entry | 1 == vectors[1]
    assert vectors[3] == image.symbol("ec_fault_handler") | 1
    assert vectors[15] == image.symbol("ec_systick_handler") | 1 != vectors[3]
    assert all(vector == 0 or flash.origin < vector - 1 < flash.origin + flash.bytes for vector in vectors[1:])
    for segment in image.segments:
        if segment.data:
            assert flash.origin <= segment.load_address <= flash.origin + flash.bytes - len(segment.data)
        where = flash if segment.address < ram.origin and segment.address >= flash.origin else ram
        assert where.origin <= segment.address <= where.origin + where.bytes - segment.memory_bytes
    assert flash.origin <= image.sections[".ec_model"].address < flash.origin + flash.bytes
    assert {image.sections[section].address >= ram.origin for section in (".ec_stack", ".ec_arena", ".data", ".bss")} == {True}
    assert image.sections[".ec_stack"].address == ram.origin
    assert firmware.sizes.flash_bytes <= target.flash_bytes


@pytest.mark.parametrize("name", CHIPS)
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
    architecture = {Core.CORTEX_M3: 10, Core.CORTEX_M4: 13, Core.CORTEX_M7: 13}[target.core]  # v7, v7E-M (Addenda to the Arm ABI)
    assert attributes["TAG_CPU_ARCH"] == architecture
    fpu = {Fpu.NONE: None, Fpu.SINGLE: 6, Fpu.DOUBLE: 8}[target.fpu]  # VFPv4-D16, FPv5-D16
    assert attributes.get("TAG_FP_ARCH") == fpu
    assert attributes.get("TAG_ABI_VFP_ARGS", 0) == (0 if target.fpu is Fpu.NONE else 1)


@pytest.mark.parametrize("name", CHIPS)
def test_a_real_board_says_its_clock_and_its_serial_port(name):
    """Real boards have a clock and a serial link at the rate that the C is given; QEMU's machines have neither clock nor rate."""
    target = load_target(name)
    assert target.real_part
    if name in MACHINES:
        assert isinstance(target.link, QemuLink)
        assert target.clock.hz is None
        assert target.link.reported_hz == RESET_HZ[target.board]
        assert target.link.counter_hz * 2**target.link.icount_shift / 1e9 > 2
    else:
        assert isinstance(target.link, SerialLink)
        assert target.link.baud == target.settings["baud"] == 115200
        assert target.clock.hz


@pytest.mark.parametrize("name", CHIPS)
def test_full_speed_on_simulated_registers(name, boot):
    """The core reaches the target's clock without a step that the chip forbids, says it, and the UART's divisor fits the rate."""
    run = boot(name)
    banner = run.say("")
    assert banner.endswith("m-ready\r\n")
    assert run.complaints == []
    now = run.chip.clocks({at: run.value(at) for at in run.registers})
    assert now.core_hz == (load_target(name).clock.hz or FULL_SPEED[name])
    assert run.word("stm32_core_hz") == now.core_hz
    assert _baud(run, now.uart_hz) == pytest.approx(115200, rel=0.01)
    assert _infer(run) == _expected()


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc: apt install gcc-arm-none-eabi")
@pytest.mark.parametrize("name", ["nucleo-f446re", "nucleo-l4r5zi", "nucleo-h743zi2", "stm32vldiscovery"])
def test_gccs_firmware_does_the_same(name, tmp_path):
    """The other compiler's code, whose order of stores is its own, makes no step either that the chip forbids."""
    firmware = build_firmware(toy_model(name=BENCH), load_target(name), toolchain=GCC, output=tmp_path / "out")
    run = Run(read_elf(firmware.elf), load_target(name), CHIPS[name])
    assert run.say("").endswith("m-ready\r\n")
    assert run.complaints == []
    assert run.word("stm32_core_hz") == load_target(name).clock.hz
    assert _infer(run) == _expected()


@pytest.mark.parametrize("name", CHIPS)
def test_the_pins_carry_the_uart(name, boot):
    """The pins that the target names have the alternate function that it names; the receiving one is pulled up."""
    run, settings = boot(name), load_target(name).settings
    run.say("")
    if load_target(name).board == "stm32f1":
        assert (run.value(0x40010804) >> 4 & 15, run.value(0x40010804) >> 8 & 15) == (0xB, 0x8)
        assert (0x40010810, 1 << 10) in run.writes
        return
    base = {"stm32f4": 0x40020000, "stm32l4": 0x48000000, "stm32h7": 0x58020000}[load_target(name).board]
    for port, pin in ((settings["tx_port"], settings["tx_pin"]), (settings["rx_port"], settings["rx_pin"])):
        at = base + 0x400 * (ord(port) - ord("A"))
        assert run.value(at) >> 2 * pin & 3 == 2
        assert run.value(at + 0xC) >> 2 * pin & 3 == 1
        assert run.value(at + 0x20 + 4 * (pin // 8)) >> 4 * (pin % 8) & 15 == settings["pin_function"]


def _dead_parts() -> Iterator[tuple[str, str]]:
    for name, chip in CHIPS.items():
        source = load_target(name).settings.get("hse_hz", 1)
        for rule in (*(rule.name for rule in chip.ready), "switch"):
            unused = (rule == "hse" and not source) or ("overdrive" in rule and not load_target(name).settings.get("overdrive"))
            if not unused:
                yield name, rule


@pytest.mark.parametrize(("name", "dead"), list(_dead_parts()))
def test_a_wait_that_runs_out_leaves_the_reset_clock(name, dead, boot):
    """Without its crystal, PLL, voltage or switch the board answers all the same, at its reset clock, and says that clock."""
    run = boot(name, dead)
    assert run.say("").endswith("m-ready\r\n")
    assert run.word("stm32_core_hz") == RESET_HZ[load_target(name).board]
    assert run.value(run.chip.switch[0]) & run.chip.switch[1] == 0
    now = run.chip.clocks({**{at: run.value(at) for at in run.registers}, run.chip.switch[0]: run.value(run.chip.switch[0])})
    assert now.core_hz == RESET_HZ[load_target(name).board]
    assert _baud(run, now.uart_hz) == pytest.approx(115200, rel=0.02)
    assert _infer(run) == _expected()


def test_a_standing_cycle_counter_means_no_clock(boot):
    """Where the DWT's counter stands still, as in QEMU, no core clock is claimed."""
    moving, standing = boot("nucleo-f411re"), boot("nucleo-f411re", has_dwt=False)
    moving.say("")
    standing.say("")
    assert moving.word("stm32_is_real") & 0xFF == 1
    assert standing.word("stm32_is_real") & 0xFF == 0


def test_the_h7_turns_its_caches_on(boot):
    """Both caches of the M7 are on, every line of the data cache having been invalidated once before."""
    run = boot("nucleo-h743zi2")
    run.say("")
    assert run.registers[CCR] >> 16 & 3 == 3
    lines = [value for at, value in run.writes if at == DCISW]
    assert sorted(lines) == sorted(way << 30 | line << 5 for way in range(4) for line in range(128))
    on = next(at for at, (address, value) in enumerate(run.writes) if address == CCR and value >> 16 & 1)
    assert on > max(at for at, (address, _) in enumerate(run.writes) if address == DCISW)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("nucleo-f446re", {"pll_n": 200}, "faster than 180 MHz"),
        ("nucleo-f446re", {"pll_m": 2}, "pll_m must bring"),
        ("nucleo-f446re", {"usart": 9}, "usart must be"),
        ("nucleo-f446re", {"apb1_divider": 3}, "apb1_divider and apb2_divider must be"),
        ("nucleo-f446re", {"overdrive": 0}, "needs overdrive = 1"),
        ("nucleo-f446re", {"apb1_divider": 2}, "APB1 than 50 MHz"),
        ("nucleo-f446re", {"flash_wait_states": 4}, "flash_wait_states are too few"),
        ("nucleo-f411re", {"vos": 2}, "vos must be 3"),
        ("nucleo-l4r5zi", {"boost": 0}, "boost must be 1 above 80 MHz"),
        ("nucleo-l4r5zi", {"vddio2": 0}, "port G needs vddio2"),
        ("nucleo-l4r5zi", {"usart": 1}, "either lpuart or usart"),
        ("b-l475e-iot01a", {"flash_wait_states": 1}, "flash_wait_states are too few"),
        ("nucleo-h743zi2", {"pll_n": 240}, "pll_n must be|scale 1 allows 400 MHz"),
        ("nucleo-h743zi2", {"ahb_divider": 1}, "scale 1 allows"),
        ("stm32vldiscovery", {"pll_multiplier": 9}, "16 to 24 MHz"),
        ("stm32vldiscovery", {"tx_pin": 2}, "pins 9 and 10"),
    ],
)
def test_impossible_settings_stop_the_build(name, changes, sentence, tmp_path):
    """A setting that is missing, or that the part cannot do, is an error of the compiler in words."""
    target = _with_settings(name, changes)
    (tmp_path / "ec_board.h").write_text(render_board(target), encoding="utf-8")
    compiler, firmware = locate(ZIG), resource_dir("firmware")
    command = [*compiler.command, *compile_flags(ZIG, target, Speed.SMALL), f"-I{tmp_path}", f"-I{firmware / 'include'}", "-c"]
    with pytest.raises(ToolError, match=sentence):
        run_tool([*command, str(firmware / "boards" / target.board / "port.c")], cwd=tmp_path, environment=compiler.environment)


def test_a_builds_error_says_which_setting_is_missing(tmp_path):
    """Whoever builds sees the sentence, not what the compiler says of its consequences."""
    with pytest.raises(ToolError, match="an stm32f4 target sets usart, tx_port"):
        build_firmware(toy_model(), _with_settings("nucleo-f446re", {"baud": None}), output=tmp_path / "out")


@needs_qemu
@pytest.mark.parametrize("name", MACHINES)
def test_the_real_driver_in_qemu(name, build):
    """The part's own clock set-up and USART driver boot in QEMU: right bytes, no claimed clock, and the same counts in two sessions."""
    measured = []
    for _ in range(2):
        with open_qemu(build(name), load_target(name)) as device:
            for data in (SAMPLE, bytes(16), bytes(range(16))):
                assert device.run([data]) == [toy_output(data)]
            clock = device._serial.clock
            assert (clock.ticks_hz, clock.clock_hz) == (load_target(name).link.reported_hz, None)
            measured.append(device.measure([SAMPLE], runs=5, warmup=1))
    first, second = measured
    assert first.unit == "instructions"
    assert first.samples == second.samples == (first.first,) * 5
    assert first.ops == second.ops
    assert first.arena_touched_bytes == TOUCHED_BYTES
    assert 0 < first.stack_bytes < 200


@needs_qemu
@pytest.mark.parametrize(("name", "core"), [("qemu-netduinoplus2", "cortex-m4"), ("qemu-stm32vldiscovery", "cortex-m3")])
def test_a_network_in_qemu(name, core, tmp_path):
    """A small residual network gives the reference's bytes on the real driver, and the emulator's count of instructions."""
    graph = read_tflite(tiny_classifier(), name="tiny")
    generated = generate_aot(graph)
    values = [np.random.default_rng(seed).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8) for seed in range(3)]
    firmware = build_firmware(generated, load_target(name), output=tmp_path / "out")
    assert firmware.sizes.arena_bytes + firmware.sizes.static_ram_bytes + load_target(name).stack_bytes <= load_target(name).ram_bytes
    with open_qemu(firmware, load_target(name)) as device:
        for value in values:
            expected = run_reference(graph, [value])[graph.outputs[0]].tobytes()
            assert device.run([value.tobytes()]) == [expected]
        counted = device.measure([values[0].tobytes()], runs=3, warmup=0)
    emulated = build_firmware(generated, load_target(core), output=tmp_path / "emulated")
    with open_emulator(emulated, load_target(core)) as device:
        assert counted.samples == device.measure([values[0].tobytes()], runs=3, warmup=0).samples


@needs_qemu
@pytest.mark.parametrize("name", MACHINES)
def test_a_fault_is_said_over_the_usart(name, build):
    """A store to where nothing is stops the firmware, and the error has the fault's place."""
    firmware = build(name, breakage="*(volatile uint32_t *)0xE0200000u = 1;")
    with open_qemu(firmware, load_target(name)) as device, pytest.raises(DeviceError, match=r"fault: exception 3 pc=0800[0-9a-f]{4}"):
        device.run([SAMPLE])


@needs_qemu
@pytest.mark.parametrize("name", MACHINES)
def test_counts_repeat_across_wraps_of_systick(name, build):
    """An inference in which SysTick wraps, at another moment in every run, counts the same instructions each time."""
    firmware = build(name, breakage="for (volatile uint32_t n = 0; n < 1500000; n++) {}")
    with open_qemu(firmware, load_target(name)) as device:
        measured = device.measure([SAMPLE], runs=4, warmup=0)
    assert measured.samples[0] > 9_000_000
    assert measured.samples == (measured.first,) * 4


def test_an_l4_in_a_later_qemu(build):
    """QEMU's own model of an STM32L475, clock controller and USART, takes the board's firmware for right: right bytes, same counts.

    It has no flash controller, so that the wait for the wait states runs out, and the board stays on its 4 MHz.
    """
    name = "b-l475e-iot01a"
    program = shutil.which("qemu-system-arm")
    machines = "" if program is None else subprocess.run([program, "-M", "help"], capture_output=True, text=True, check=True).stdout
    if f"{name} " not in machines:
        pytest.skip(f"needs a qemu-system-arm with -M {name}: QEMU 9.1 or later (Debian: qemu-system-arm of bookworm-backports)")
    link = QemuLink(kind="qemu", machine=name, icount_shift=10, counter_hz=4_000_000)
    target = load_target(name).model_copy(update={"link": link})
    with open_qemu(build(name), target) as device:
        assert device.run([SAMPLE]) == [toy_output(SAMPLE)]
        measured = device.measure([SAMPLE], runs=3, warmup=0)
    assert measured.samples == (measured.first,) * 3


def _with_settings(name: str, changes: Mapping[str, int | None]) -> Target:
    target = load_target(name)
    settings = {key: value for key, value in {**target.settings, **changes}.items() if value is not None}
    return target.model_copy(update={"settings": settings})


def _baud(run: Run, uart_hz: int) -> float:
    return uart_hz * run.chip.uart.divisor_scale / run.registers[run.chip.uart.divisor]


def _infer(run: Run) -> str:
    """Load pixels over the UART, run once, and give the results line."""
    pixels = bytes(value ^ 0x80 for value in SAMPLE)
    return run.say(f"db load 16%db {pixels.hex()}%infer 1 0%").split("m-results-")[1].splitlines()[0]


def _expected() -> str:
    values = [value - 256 if value > 127 else value for value in toy_output(SAMPLE)]
    return "[" + ",".join(f"{(value + 3) * 0.5:.3f}" for value in values) + "]"
