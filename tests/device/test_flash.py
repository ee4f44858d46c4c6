"""Flashing, against a simulated pyocd, a folder as a boot loader's drive, stand-ins for OpenOCD and dfu-util, and a simulated board."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from simulated_device import Faults, SimulatedDevice
from simulated_pyocd import Error, FlashFailure, ProbeError, SimulatedPyocd, TargetError, TransferFaultError
from stand_ins import write_program
from toy_firmware import toy_model

from edgecompress.artifact import Firmware
from edgecompress.build import build_firmware
from edgecompress.build.uf2 import to_uf2
from edgecompress.cli import main
from edgecompress.device.flash import uf2
from edgecompress.doctor import State, doctor
from edgecompress.elf import read_elf
from edgecompress.errors import BudgetError, DeviceError, MismatchError, ModelError, ToolError
from edgecompress.errors import TargetError as WrongTarget
from edgecompress.pipeline.firmware import open_target
from edgecompress.pipeline.flash import flash
from edgecompress.resources import resource_dir
from edgecompress.target import FlashMethod, SerialLink, all_targets, load_target

NUCLEO, PICO = "nucleo-f411re", "pico"
# What the simulated board says it runs.
SIMULATED_SHA256 = "ab" * 32
STLINK = {"vid": 0x0483, "pid": 0x374B, "description": "STM32 STLink"}


@pytest.fixture(scope="module")
def nucleo(tmp_path_factory) -> Firmware:
    """Firmware for a Nucleo, with the model that the simulated board runs."""
    toy = toy_model()
    toy = dataclasses.replace(toy, info=dataclasses.replace(toy.info, sha256=SIMULATED_SHA256))
    return build_firmware(toy, load_target(NUCLEO), output=tmp_path_factory.mktemp("nucleo") / "out")


@pytest.fixture(scope="module")
def pico(tmp_path_factory) -> Firmware:
    """Firmware for a Pico, with another model than the simulated board's."""
    return build_firmware(toy_model(), load_target(PICO), output=tmp_path_factory.mktemp("pico") / "out")


@pytest.fixture
def pyocd(monkeypatch) -> SimulatedPyocd:
    """The simulated pyocd, in the real one's place."""
    world = SimulatedPyocd()
    world.install(monkeypatch)
    return world


@pytest.fixture
def ports(monkeypatch) -> list[SimpleNamespace]:
    """A simulated list of serial ports, empty at first."""
    from serial.tools import list_ports

    found: list[SimpleNamespace] = []
    monkeypatch.setattr(list_ports, "comports", lambda: found)
    return found


def port(device: str, *, vid=None, pid=None, description="n/a", serial_number=None) -> SimpleNamespace:
    """A port as pyserial lists it."""
    return SimpleNamespace(device=device, vid=vid, pid=pid, description=description, serial_number=serial_number)


# ---- through a probe


def test_a_probe_writes_verifies_resets_and_the_board_answers(nucleo, pyocd):
    """Every byte of the image is in flash afterwards, the chip was never unlocked, and the board runs the model that was written."""
    stages: dict[str, list[int]] = {}
    with SimulatedDevice() as board:
        done = flash(NUCLEO, nucleo.elf, port=board.url, progress=lambda stage, at, total: stages.setdefault(stage, []).append(at))
    image = read_elf(nucleo.elf)
    written = {s.load_address + i: byte for s in image.segments for i, byte in enumerate(s.data)}
    assert pyocd.memory == written
    assert pyocd.options["auto_unlock"] is False
    assert pyocd.options["target_override"] == "stm32f411retx"
    assert pyocd.calls[-2:] == ["reset", "close"]
    assert (done.method, done.running.sha256, done.port) == (FlashMethod.PYOCD, SIMULATED_SHA256, board.url)
    assert list(stages)[:4] == ["erasing", "writing", "verifying", "resetting"]
    assert all(points == sorted(points) for points in stages.values())
    assert stages["verifying"][-1] == image.loadable_bytes


@pytest.mark.parametrize(
    ("world", "probe", "words"),
    [
        ({"probes": ()}, None, "no debug probe is connected"),
        ({"probes": ("AA1", "AA2")}, None, "2 debug probes are connected: AA1 .*, AA2"),
        ({"probes": ("AA1", "AA2")}, "AA", "2 debug probes are called 'AA'"),
        ({"probes": ("AA1", "AA2")}, "BB", "no debug probe is called 'BB'; connected: AA1"),
        ({"locked": True}, None, "locked against its debug port"),
        ({"fails": {"list": OSError("no backend")}}, None, "cannot look for debug probes: no backend"),
        ({"fails": {"open": ProbeError("busy")}}, None, "debug probe 066DFF1 .* failed: busy"),
        ({"fails": {"open": TargetError("no ack")}}, None, "behind probe 066DFF1 does not answer: no ack"),
        ({"fails": {"open": Error("")}}, None, "failed: Error"),
        ({"fails": {"commit": FlashFailure("result 1")}}, None, "cannot be written: result 1"),
        ({"fails": {"commit": TransferFaultError("fault")}}, None, "refuses access to its memory"),
        ({"flash": (0x10000000, 1 << 20)}, None, "pyocd knows no flash of stm32f411retx"),
        ({"damage": lambda data: data[:-1] + bytes([data[-1] ^ 1])}, None, "holds other bytes than were written, from 0x08"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_what_a_probe_can_meet_is_one_sentence(nucleo, monkeypatch, world, probe, words):
    """Each failure says what came and what to do next, on one line, and the session is closed."""
    pyocd = SimulatedPyocd(**world)
    pyocd.install(monkeypatch)
    with pytest.raises(DeviceError, match=words) as caught:
        flash(NUCLEO, nucleo.elf, probe=probe, handshake=False)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert "open" not in pyocd.calls or pyocd.calls[-1] == "close"
    assert "reset" not in pyocd.calls


def test_the_probe_that_was_named_is_used(nucleo, monkeypatch):
    """A whole number wins over one that only contains it."""
    pyocd = SimulatedPyocd(probes=("AA10", "AA1"))
    pyocd.install(monkeypatch)
    assert flash(NUCLEO, nucleo.elf, probe="aa1", handshake=False).place.startswith("AA1 ")
    assert pyocd.used == "AA1"


def test_a_part_that_pyocd_lacks_comes_with_its_pack(nucleo, monkeypatch):
    """The hint is the command that adds the part."""
    SimulatedPyocd(parts=()).install(monkeypatch)
    with pytest.raises(ToolError, match="does not know the part stm32f411retx") as caught:
        flash(NUCLEO, nucleo.elf, handshake=False)
    assert "pyocd pack install stm32f411retx" in caught.value.hint


def test_without_pyocd_the_command_says_how_to_get_it(nucleo, monkeypatch, capsys):
    """A missing optional package is exit code 2 and the pip command."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["flash", NUCLEO, str(nucleo.elf), "--no-handshake"]) == 2
    assert "pip install 'edgecompress[flash]'" in capsys.readouterr().err


def test_the_real_pyocd_has_the_names_that_are_used():
    """Modules, functions and their arguments as the simulated one has them."""
    pytest.importorskip("pyocd", reason="needs pyocd: pip install 'edgecompress[flash]'")
    import inspect

    from pyocd.core import exceptions
    from pyocd.core.helpers import ConnectHelper
    from pyocd.core.options import BUILTIN_OPTIONS
    from pyocd.core.session import Session
    from pyocd.core.soc_target import SoCTarget
    from pyocd.flash.loader import FlashLoader
    from pyocd.target.builtin import BUILTIN_TARGETS

    assert "blocking" in inspect.signature(ConnectHelper.get_all_connected_probes).parameters
    assert {"auto_open", "options"} <= set(inspect.signature(Session.__init__).parameters)
    assert {"session", "progress"} <= set(inspect.signature(FlashLoader.__init__).parameters)
    assert {"target_override", "auto_unlock", "no_config", "hide_programming_progress"} <= {option.name for option in BUILTIN_OPTIONS}
    assert all(hasattr(FlashLoader, name) for name in ("add_data", "commit"))
    assert all(hasattr(SoCTarget, name) for name in ("reset", "read_memory_block8", "is_locked"))
    assert all(hasattr(Session, name) for name in ("open", "close", "target"))
    assert issubclass(exceptions.TransferFaultError, exceptions.TargetError)
    assert issubclass(exceptions.FlashFailure, exceptions.TargetError)
    assert issubclass(exceptions.TargetSupportError, exceptions.Error)
    for target in all_targets():
        if target.flash is not None and target.flash.target is not None and target.flash.pack is None:
            assert target.flash.target in BUILTIN_TARGETS, target.name


# ---- by a copy


def boot_loader(folder: Path, *, board_id: str = "RPI-RP2") -> Path:
    """A folder that looks like a boot loader's drive."""
    folder.mkdir()
    (folder / uf2.INFO_NAME).write_text(f"UF2 Bootloader v3.0\r\nModel: simulated\r\nBoard-ID: {board_id}\r\n")
    return folder


def restart_when_full(folder: Path, size: int) -> threading.Thread:
    """Takes the drive away once the whole file has arrived, as a boot loader does."""

    def watch() -> None:
        file = folder / uf2.FIRMWARE_NAME
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (file.exists() and file.stat().st_size == size):
            time.sleep(0.01)
        (folder / uf2.INFO_NAME).unlink()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_pico_is_flashed_by_a_copy(pico, monkeypatch, tmp_path):
    """The drive with the right Board-ID gets the UF2 of the ELF that was named; other drives are left alone."""
    drive = boot_loader(tmp_path / "RPI-RP2")
    other = boot_loader(tmp_path / "RP2350", board_id="RP2350")
    monkeypatch.setattr(uf2, "mounted_folders", lambda: [tmp_path, other, drive])
    wanted = to_uf2(read_elf(pico.elf), 0xE48BFF56)
    thread = restart_when_full(drive, len(wanted))
    done = flash(PICO, pico.elf, handshake=False)
    thread.join()
    assert (done.method, done.place, done.running) == (FlashMethod.UF2, str(drive), None)
    assert (drive / uf2.FIRMWARE_NAME).read_bytes() == wanted
    assert not (other / uf2.FIRMWARE_NAME).exists()


def test_a_missing_drive_says_how_to_get_it(monkeypatch, tmp_path):
    """What was found instead is named, and the hint speaks of BOOTSEL."""
    other = boot_loader(tmp_path / "other", board_id="RP2350")
    monkeypatch.setattr(uf2, "mounted_folders", lambda: [other])
    with pytest.raises(DeviceError, match="called RPI-RP2 is mounted; found RP2350 at") as caught:
        uf2.flash_by_copy(b"x", load_target(PICO), drive=None, progress=lambda *_: None, wait_s=0)
    assert "BOOTSEL" in caught.value.hint
    with pytest.raises(DeviceError, match="is no drive of a boot loader"):
        uf2.flash_by_copy(b"x", load_target(PICO), drive=str(tmp_path), progress=lambda *_: None, wait_s=0)


def test_two_drives_need_a_choice_and_one_can_be_named(monkeypatch, tmp_path):
    """Two boards in their boot loader are listed; --probe takes the folder of one, which must restart."""
    first, second = boot_loader(tmp_path / "a"), boot_loader(tmp_path / "b")
    monkeypatch.setattr(uf2, "mounted_folders", lambda: [first, second])
    with pytest.raises(DeviceError, match="2 drives are called RPI-RP2") as caught:
        uf2.flash_by_copy(b"x", load_target(PICO), drive=None, progress=lambda *_: None, wait_s=0)
    assert str(first) in caught.value.hint
    with pytest.raises(DeviceError, match="did not restart"):
        uf2.flash_by_copy(b"x", load_target(PICO), drive=str(second), progress=lambda *_: None, wait_s=0, restart_s=0.2)
    assert not (first / uf2.FIRMWARE_NAME).exists()


def test_a_drive_that_cannot_be_written_is_an_error(tmp_path):
    """A full or read-only drive is told apart from one that went away because it restarted."""
    drive = boot_loader(tmp_path / "drive")
    (drive / uf2.FIRMWARE_NAME).mkdir()
    with pytest.raises(DeviceError, match="cannot be written"):
        uf2.flash_by_copy(b"x", load_target(PICO), drive=str(drive), progress=lambda *_: None, wait_s=0)


# ---- by programs


def stand_in(folder: Path, name: str, body: str) -> None:
    """A program of that name that runs a piece of Python with `arguments`."""
    folder.mkdir(exist_ok=True)
    write_program(folder / name, f"import sys\nfrom pathlib import Path\narguments = sys.argv[1:]\n{body}\n")


@pytest.fixture
def programs(monkeypatch, tmp_path) -> Path:
    """The only folder in which programs are found, empty at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_openocd_gets_the_boards_file_and_the_firmware(nucleo, programs, tmp_path):
    """Its own `program` command writes, verifies and resets; a probe's number is passed on."""
    log = tmp_path / "log"
    stand_in(programs, "openocd", f"Path({str(log)!r}).write_text('|'.join(arguments) + '|' + str(len(Path('firmware.elf').read_bytes())))")
    done = flash(NUCLEO, nucleo.elf, method=FlashMethod.OPENOCD, probe="066D", handshake=False)
    size = nucleo.elf.stat().st_size
    wanted = f"-f|board/st_nucleo_f4.cfg|-c|adapter serial 066D|-c|program firmware.elf verify reset exit|{size}"
    assert log.read_text() == wanted
    assert done.place == "board/st_nucleo_f4.cfg"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Error: open failed", "finds no debug probe"),
        ("Error: ST-LINK open failed (serial mismatch)", "with that serial number"),
        ("Info : RDP level 0 (0xAA)\\n** Verify Failed **", "other bytes than were written"),
        ("Error: stm32x device protected", "is locked"),
        ("Error: something else", "failed with exit code 1: Error: something else"),
        ("", "failed with exit code 1: nothing"),
    ],
)
def test_what_openocd_complains_of_is_said_in_our_words(nucleo, programs, text, words):
    """Its known complaints become one sentence with a hint; of others its error line is shown."""
    stand_in(programs, "openocd", f"print('{text}', file=sys.stderr)\nsys.exit(1)")
    with pytest.raises(DeviceError, match=words) as caught:
        flash(NUCLEO, nucleo.elf, method=FlashMethod.OPENOCD, handshake=False)
    assert caught.value.hint


def test_a_missing_program_is_named(nucleo, programs):
    """Without OpenOCD the error says how to install it; a probe's number cannot smuggle commands in."""
    with pytest.raises(ToolError, match="openocd is not installed") as caught:
        flash(NUCLEO, nucleo.elf, method=FlashMethod.OPENOCD, handshake=False)
    assert "apt install openocd" in caught.value.hint
    with pytest.raises(DeviceError, match="no serial number"):
        flash(NUCLEO, nucleo.elf, method=FlashMethod.OPENOCD, probe="1; shutdown", handshake=False)


DFU_UTIL = """
flash = Path({flash!r})
if '-D' in arguments:
    assert arguments[:6] == ['-d', '0483:df11', '-a', '0', '-s', '0x08000000'], arguments
    flash.write_bytes(Path('firmware.bin').read_bytes())
else:
    data = flash.read_bytes(){damage}
    assert arguments[5] == f'0x08000000:{{len(data)}}:leave', arguments
    Path('back.bin').write_bytes(data)
    sys.exit(74)
"""


@pytest.fixture
def dfu_board(tmp_path) -> str:
    """The path of a target that is flashed by DFU."""
    text = (resource_dir("targets") / f"{NUCLEO}.toml").read_text(encoding="utf-8")
    path = tmp_path / f"{NUCLEO}.toml"
    path.write_text(text.replace('method = "pyocd"', 'method = "dfu"\nusb = "0483:df11"'), encoding="utf-8")
    return str(path)


def test_dfu_util_writes_reads_back_and_leaves(nucleo, programs, dfu_board, tmp_path):
    """What comes back is compared; the exit code of a board that left at once does not count."""
    stand_in(programs, "dfu-util", DFU_UTIL.format(flash=str(tmp_path / "flash"), damage=""))
    assert flash(dfu_board, nucleo.elf, handshake=False).place == "0483:df11"
    image = read_elf(nucleo.elf)
    flat = (tmp_path / "flash").read_bytes()
    for segment in image.segments:
        at = segment.load_address - 0x08000000
        assert flat[at : at + len(segment.data)] == segment.data
    stand_in(programs, "dfu-util", DFU_UTIL.format(flash=str(tmp_path / "flash"), damage="[:-1] + b'?'"))
    with pytest.raises(DeviceError, match="holds other bytes"):
        flash(dfu_board, nucleo.elf, handshake=False)


def test_no_board_in_dfu_says_how_to_get_there(nucleo, programs, dfu_board):
    """dfu-util's complaint becomes a sentence about BOOT0."""
    stand_in(programs, "dfu-util", "print('No DFU capable USB device available', file=sys.stderr)\nsys.exit(74)")
    with pytest.raises(DeviceError, match="no board in its DFU boot loader") as caught:
        flash(dfu_board, nucleo.elf, handshake=False)
    assert "BOOT0" in caught.value.hint


# ---- what is written


def test_the_newest_build_is_taken(nucleo, pyocd, monkeypatch, tmp_path):
    """Without a file, build/TARGET/*/firmware.elf with the latest time is written; without a build the hint says how to get one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=f"no build/{NUCLEO}/") as caught:
        flash(NUCLEO, handshake=False)
    assert f"edgecompress build {NUCLEO}" in caught.value.hint
    for name, seconds in (("old", 1000), ("new", 2000), ("older", 500)):
        path = tmp_path / "build" / NUCLEO / name / "firmware.elf"
        path.parent.mkdir(parents=True)
        path.write_bytes(nucleo.elf.read_bytes())
        os.utime(path, (seconds, seconds))
    assert flash(NUCLEO, handshake=False).firmware.elf == Path("build") / NUCLEO / "new" / "firmware.elf"


def test_firmware_for_another_board_is_refused(pico, pyocd):
    """The manifest of the file names its target."""
    with pytest.raises(ModelError, match="was built for pico, not for nucleo-f411re"):
        flash(NUCLEO, pico.elf, handshake=False)
    assert pyocd.calls == []


def test_an_image_larger_than_flash_is_refused(nucleo, pyocd, tmp_path):
    """Exit code 3's error, with both sizes, before anything is written."""
    text = (resource_dir("targets") / f"{NUCLEO}.toml").read_text(encoding="utf-8")
    small = tmp_path / f"{NUCLEO}.toml"
    small.write_text(text.replace("bytes = 0x80000", "bytes = 0x400"), encoding="utf-8")
    with pytest.raises(BudgetError, match="has 1,024 bytes from 0x08000000 on"):
        flash(str(small), nucleo.elf, handshake=False)
    assert pyocd.calls == []


@pytest.mark.parametrize(
    ("target", "method", "words"),
    [
        ("cortex-m4", None, "cortex-m4 is no board"),
        ("qemu-microbit", None, "qemu-microbit is no board"),
        (NUCLEO, FlashMethod.UF2, "not flashed by uf2: its file has no flash.drive"),
        (PICO, FlashMethod.OPENOCD, "not flashed by openocd: its file has no flash.config"),
    ],
)
def test_a_target_is_flashed_only_as_its_file_says(target, method, words):
    """Emulated cores have nothing to flash, and each way needs its own fact of the board."""
    with pytest.raises(WrongTarget, match=words):
        flash(target, Path("no-such-file"), method=method)


def test_every_shipped_board_says_how_it_is_flashed():
    """A real board has a way, and one that is flashed by a copy has an image to copy."""
    for target in all_targets():
        assert (target.flash is not None) == isinstance(target.link, SerialLink), target.name
        if target.flash is not None and target.flash.method is FlashMethod.UF2:
            assert target.image is not None


# ---- the handshake


def test_a_board_that_does_not_boot_is_said_so(nucleo, pyocd, monkeypatch):
    """Silence after a good write is an error that says both."""
    monkeypatch.setattr("edgecompress.pipeline.flash.open_serial", _impatient)
    said = r"is written, but the board does not answer: .* nothing came back"
    with SimulatedDevice(faults=Faults(silent=True)) as board, pytest.raises(DeviceError, match=said) as caught:
        flash(NUCLEO, nucleo.elf, port=board.url)
    assert "press reset" in caught.value.hint.lower()
    assert pyocd.calls[-1] == "close"


def _impatient(url: str, *, baud: int):
    from edgecompress.device import open_serial

    return open_serial(url, baud=baud, timeout_s=0.3)


def test_a_board_that_runs_something_else_is_a_mismatch(pico, tmp_path):
    """The sha256 that the board reports is compared with the one that was written."""
    drive = boot_loader(tmp_path / "drive")
    thread = restart_when_full(drive, len(to_uf2(read_elf(pico.elf), 0xE48BFF56)))
    with SimulatedDevice() as board, pytest.raises(MismatchError, match=r"runs plus_one .*, not the toy that was written"):
        flash(PICO, pico.elf, probe=str(drive), port=board.url)
    thread.join()


def test_without_a_port_nothing_is_written(nucleo, pyocd, ports):
    """The port is looked for first, and the hint knows the way without it."""
    with pytest.raises(DeviceError, match="no serial port has the USB id of nucleo-f411re") as caught:
        flash(NUCLEO, nucleo.elf)
    assert "--no-handshake" in caught.value.hint
    assert pyocd.calls == []


# ---- the port


def test_the_port_with_the_boards_usb_id_is_taken(monkeypatch, ports):
    """`measure` and `run` need no --port when one port only has the target's USB id."""
    opened = []
    open_serial = lambda url, *, baud, **_: opened.append((url, baud)) or SimpleNamespace(close=bool)  # noqa: E731
    monkeypatch.setattr("edgecompress.device.open_serial", open_serial)
    ports += [port("/dev/ttyS0"), port("/dev/ttyUSB0", vid=0x0403, pid=0x6001), port("/dev/ttyACM3", **STLINK)]
    with open_target(NUCLEO, None, engine=None, port=None):
        assert opened == [("/dev/ttyACM3", 115200)]


def test_no_port_and_several_ports_are_errors_that_list_them(ports, capsys):
    """Both are exit code 4, with every port that there is or that could be meant."""
    assert main(["measure", NUCLEO]) == 4
    assert "no serial port is connected" in capsys.readouterr().err
    ports += [port("/dev/ttyS0"), port("/dev/ttyUSB0", vid=0x0403, pid=0x6001, description="FT232R")]
    assert main(["measure", NUCLEO]) == 4
    assert "ports here: /dev/ttyS0, /dev/ttyUSB0 (FT232R, 0403:6001)" in capsys.readouterr().err
    ports += [port("/dev/ttyACM0", **STLINK), port("/dev/ttyACM1", **STLINK)]
    assert main(["measure", NUCLEO]) == 4
    shown = capsys.readouterr().err
    assert "2 serial ports could be nucleo-f411re: /dev/ttyACM0 (STM32 STLink, 0483:374b), /dev/ttyACM1" in shown
    assert "--port" in shown
    assert main(["measure", "stm32vldiscovery"]) == 4
    assert "does not say by which USB id" in capsys.readouterr().err


def test_of_two_equal_boards_the_probes_serial_number_decides(nucleo, pyocd, ports):
    """The probe that writes and the port that answers are the same USB device."""
    pyocd.probes = ("066DFF1", "066DFF2")
    with SimulatedDevice() as board:
        ports += [
            port("socket://127.0.0.1:1", **STLINK, serial_number="066DFF1"),
            port(board.url, **STLINK, serial_number="066DFF2"),
        ]
        assert flash(NUCLEO, nucleo.elf, probe="066DFF2").port == board.url
    assert pyocd.used == "066DFF2"


def test_doctor_lists_probes_and_ports_with_the_boards_they_can_be(pyocd, ports):
    """Each probe by its serial number, each port with the targets whose USB id it has; a pyocd that fails is shown, not raised."""
    ports.append(port("/dev/no-such-port", **STLINK))
    found = {finding.part: finding for finding in doctor()}
    assert found["debug probe"].found == "066DFF1 (simulated probe)"
    assert "can be b-l475e-iot01a, nucleo-f411re, nucleo-f446re, nucleo-l4r5zi" in found["serial port"].found
    pyocd.fails["list"] = OSError("no backend")
    assert next(finding for finding in doctor() if finding.part == "debug probe").state is State.WRONG


def test_the_command_shows_what_happened(nucleo, pyocd, capsys):
    """File, target, bytes, port and model, one a line."""
    with SimulatedDevice() as board:
        assert main(["flash", NUCLEO, str(nucleo.elf), "--port", board.url]) == 0
    shown = capsys.readouterr().out
    assert f"by pyocd: 066DFF1 (simulated probe)\nport      {board.url}\nruns      plus_one (sha256 abababababab" in shown
