"""The pin of MLPerf Tiny's energy mode on STM32F4 and L4: pulses around the timed inferences, on simulated registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from simulated_stm32 import F411, F446, Chip, Run, stm32f4, stm32l4
from toy_firmware import SAMPLE, toy_model

from edgecompress.build import ZIG, build_firmware
from edgecompress.build.cortex_m import Speed, compile_flags
from edgecompress.build.glue import render_board
from edgecompress.build.toolchain import locate
from edgecompress.elf import Image, read_elf
from edgecompress.errors import ToolError
from edgecompress.resources import resource_dir
from edgecompress.target import Target, load_target
from edgecompress.tools import run_tool

CHIPS: dict[str, Chip] = {
    "nucleo-f446re": stm32f4(2, 8_000_000, F446),
    "nucleo-f411re": stm32f4(2, 8_000_000, F411),
    "nucleo-l4r5zi": stm32l4(lpuart=True, boosts=True),
    "b-l475e-iot01a": stm32l4(lpuart=False, boosts=False),
}
BASE = {"stm32f4": 0x40020000, "stm32l4": 0x48000000}
PULSE = ["low", "released"]
INFER = f"db load 16%db {SAMPLE.hex()}%infer 3 2%"


def with_settings(name: str, changes: Mapping[str, int | str | None]) -> Target:
    target = load_target(name)
    settings = {key: value for key, value in {**target.settings, **changes}.items() if value is not None}
    return target.model_copy(update={"settings": settings})


def boot(target: Target, folder: Path) -> Run:
    firmware = build_firmware(toy_model(name="kws01"), target, output=folder / "out")
    return Run(read_elf(firmware.elf), target, CHIPS[target.name])


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Boots a shipped target; each is built only once."""
    images: dict[str, Image] = {}

    def boot_shipped(name: str) -> Run:
        if name not in images:
            images[name] = boot(load_target(name), tmp_path_factory.mktemp("pin")).image
        return Run(images[name], load_target(name), CHIPS[name])

    return boot_shipped


def port_of(target: Target) -> int:
    return BASE[target.board] + 0x400 * (ord(str(target.settings["energy_port"])) - ord("A"))


def moves(run: Run) -> list[str]:
    """What the pin was told, in order."""
    pin = int(run.target.settings["energy_pin"])
    words = {1 << pin: "released", 1 << pin + 16: "low"}
    return [words[value] for at, value in run.writes if at == port_of(run.target) + 0x18 and value in words]


@pytest.mark.parametrize("name", CHIPS)
def test_the_timed_inferences_lie_between_two_pulses(name: str, shipped: Callable[[str], Run]) -> None:
    """Released from the start, low twice and for 0.1 ms each, around the inferences and not around the warm-ups; the laps are there too."""
    run = shipped(name)
    assert run.say("").startswith("m-timestamp-mode-performance\r\nm-lap-us-")
    assert moves(run) == ["released"]
    before = run.cycles
    answer = run.say(INFER)
    assert moves(run) == ["released", *PULSE, *PULSE]
    assert answer.count("m-lap-us-") == 2
    assert run.cycles - before > 2 * load_target(name).clock.hz // 10_000
    assert run.complaints == []


@pytest.mark.parametrize("name", ["nucleo-f446re", "nucleo-l4r5zi"])
def test_the_pin_is_pulled_low_or_released(name: str, shipped: Callable[[str], Run]) -> None:
    """An open-drain output with a pull-up, on the pin that the target names, with its port's clock on."""
    run = shipped(name)
    run.say("")
    base, pin = port_of(run.target), int(run.target.settings["energy_pin"])
    assert (run.value(base) >> 2 * pin & 3, run.value(base + 4) >> pin & 1, run.value(base + 0xC) >> 2 * pin & 3) == (1, 1, 1)
    released = next(at for at, write in enumerate(run.writes) if write[0] == base + 0x18)
    assert released < next(at for at, (address, value) in enumerate(run.writes) if address == base and value >> 2 * pin & 3 == 1)


def test_energy_mode_pulses_instead_of_printing(tmp_path: Path) -> None:
    """With energy_mode = 1 the banner says so, no lap is printed, and `timestamp` is a pulse."""
    run = boot(with_settings("nucleo-l4r5zi", {"energy_mode": 1}), tmp_path)
    assert run.say("").startswith("m-timestamp-mode-energy\r\nm-init-done\r\nm-ready\r\n")
    assert moves(run) == ["released", *PULSE]
    assert run.say("timestamp%") == "m-ready\r\n"
    answer = run.say(INFER)
    assert "m-lap-us-" not in answer and "m-infer-done\r\nm-results-[" in answer
    assert moves(run) == ["released", *PULSE * 4]


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("nucleo-f446re", {"energy_pin": None}, "energy_port and energy_pin"),
        ("nucleo-f446re", {"energy_port": None, "energy_pin": None, "energy_mode": 1}, "energy_port and energy_pin"),
        ("nucleo-f446re", {"energy_pin": 16}, "energy_pin 0 to 15"),
        ("nucleo-f446re", {"energy_port": "A", "energy_pin": 2}, "one of the UART's"),
        ("nucleo-l4r5zi", {"energy_port": "G", "vddio2": 0}, "port G needs vddio2"),
        ("nucleo-h743zi2", {"energy_port": "A", "energy_pin": 8}, "this family has no energy pin"),
        ("stm32vldiscovery", {"energy_port": "A", "energy_pin": 8}, "this family has no energy pin"),
    ],
)
def test_impossible_pins_stop_the_build(name: str, changes: Mapping[str, int | str | None], sentence: str, tmp_path: Path) -> None:
    """A pin that is named by half, or that the family has not, is an error of the compiler in words."""
    target = with_settings(name, changes)
    (tmp_path / "ec_board.h").write_text(render_board(target), encoding="utf-8")
    compiler, firmware = locate(ZIG), resource_dir("firmware")
    command = [*compiler.command, *compile_flags(ZIG, target, Speed.SMALL), f"-I{tmp_path}", f"-I{firmware / 'include'}", "-c"]
    with pytest.raises(ToolError, match=sentence):
        run_tool([*command, str(firmware / "boards" / target.board / "port.c")], cwd=tmp_path, environment=compiler.environment)
