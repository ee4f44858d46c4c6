"""Firmware onto a board: the newest build of a target, or a file, written, verified, started, and asked whether it is the one that runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecompress.artifact import Firmware
from edgecompress.device import DeviceModel, open_serial
from edgecompress.device.ports import find_port
from edgecompress.elf import Image, read_elf
from edgecompress.errors import BudgetError, DeviceError, MismatchError, ModelError, TargetError
from edgecompress.progress import Progress, silent
from edgecompress.target import FACT_OF_METHOD, FlashMethod, SerialLink, Target, load_target


@dataclass(frozen=True)
class Flashed:
    """What was written, how and where, and what the board says it runs now (None without a handshake)."""

    firmware: Firmware
    method: FlashMethod
    place: str
    port: str | None
    running: DeviceModel | None


def flash(
    target: str,
    firmware: Path | None = None,
    *,
    probe: str | None = None,
    method: FlashMethod | None = None,
    port: str | None = None,
    handshake: bool = True,
    progress: Progress = silent,
) -> Flashed:
    """Write firmware to a board, verify it, start it, and ask it over its serial port what it runs.

    Args:
        target: a board's name, or the path of its TOML file.
        firmware: a firmware.elf; the newest build of that target (build/TARGET/*/firmware.elf) when None.
        probe: the serial number of a debug probe, or the folder of a boot loader's drive, where there are several.
        method: another way than the target's own.
        port: the board's serial port; the one with the target's USB ids when None.
        handshake: False when there is no serial port to ask.

    Raises:
        ModelError: there is no such firmware, or it was built for another target.
        TargetError: the target is no board, or is not flashed this way.
        BudgetError: the image does not lie in the target's flash.
        ToolError: what this way needs is not installed.
        DeviceError: no probe, port or drive, or no choice among several; the chip is locked or silent; the board does not boot.
        MismatchError: the board runs another model afterwards.

    Example:
        >>> edgecompress.flash("pico", Path("build/pico/digits/firmware.elf")).running.name
        'digits'
    """
    from edgecompress.build import read_firmware

    board = load_target(target)
    way = _method(board, method)
    path = firmware or newest_build(board)
    built = read_firmware(path)
    if built.target != board.name:
        hint = f"build it again: edgecompress build {board.name} MODEL.tflite"
        raise ModelError(f"{path} was built for {built.target}, not for {board.name}", hint=hint)
    image = read_elf(path)
    check_place(image, board, path)
    # Before anything is written, so that a missing port does not leave the work half done.
    found = _port(board, probe, port) if handshake else None
    place = _write(way, path, image, board, probe, progress)
    running = None if found is None else _shake_hands(found, board, built, progress)
    return Flashed(built, way, place, found, running)


def newest_build(target: Target) -> Path:
    """The firmware.elf below build/TARGET that was written last.

    Raises:
        ModelError: there is none.
    """
    folder = Path("build") / target.name
    found = [path for path in folder.glob("*/firmware.elf") if path.is_file()]
    if not found:
        hint = f"build it first: edgecompress build {target.name} MODEL.tflite; or give the path of a firmware.elf"
        raise ModelError(f"there is no {folder}/*/firmware.elf to flash", hint=hint)
    return max(found, key=lambda path: (path.stat().st_mtime_ns, str(path)))


def check_place(image: Image, target: Target, path: Path) -> None:
    """Whether all that is written lies in the target's flash.

    Raises:
        BudgetError: it is larger, or elsewhere.
        ModelError: there is nothing to write.
    """
    flash_region = target.region("flash")
    pieces = [segment for segment in image.segments if segment.data]
    if not pieces:
        raise ModelError(f"{path}: holds nothing to write", hint="build it again")
    start = min(piece.load_address for piece in pieces)
    end = max(piece.load_address + len(piece.data) for piece in pieces)
    if start < flash_region.origin or end > flash_region.origin + flash_region.bytes:
        raise BudgetError(
            f"{path} takes {start:#010x} to {end - 1:#010x}; the flash of {target.name} has {flash_region.bytes:,} bytes from"
            f" {flash_region.origin:#010x} on",
            hint=f"build it again: edgecompress build {target.name} MODEL.tflite",
        )


def _method(target: Target, method: FlashMethod | None) -> FlashMethod:
    if not isinstance(target.link, SerialLink):
        raise TargetError(
            f"{target.name} is no board: there is nothing to flash", hint=f"edgecompress measure {target.name} runs firmware as it is"
        )
    if target.flash is None:
        raise TargetError(
            f"{target.name} does not say how it is flashed", hint="add [flash] to its file (docs/boards.md), or use your own tool"
        )
    chosen = method or target.flash.method
    if target.flash.fact(chosen) is None:
        raise TargetError(
            f"{target.name} is not flashed by {chosen.value}: its file has no flash.{FACT_OF_METHOD[chosen]}",
            hint=f"leave --method out: {target.flash.method.value} is used",
        )
    return chosen


def _port(target: Target, probe: str | None, port: str | None) -> str:
    if port is not None:
        return port
    try:
        return find_port(target, probe=probe).url
    except DeviceError as e:
        raise DeviceError(e.message, hint=f"{e.hint}; or leave out the question what it runs: --no-handshake") from e


def _write(method: FlashMethod, path: Path, image: Image, target: Target, probe: str | None, progress: Progress) -> str:
    """Write, verify and start; where it went."""
    if method is FlashMethod.PYOCD:
        from edgecompress.device.flash.probe import flash_by_probe

        return str(flash_by_probe(image, target, probe=probe, progress=progress))
    if method is FlashMethod.UF2:
        from edgecompress.build.uf2 import to_uf2
        from edgecompress.device.flash.uf2 import flash_by_copy

        if target.image is None:
            raise TargetError(f"{target.name} has no image.family for a UF2 file", hint="add [image] to its file (docs/boards.md)")
        return str(flash_by_copy(to_uf2(image, target.image.family), target, drive=probe, progress=progress))
    if method is FlashMethod.OPENOCD:
        from edgecompress.device.flash.openocd import flash_by_openocd

        return flash_by_openocd(path, target, probe=probe, progress=progress)
    from edgecompress.device.flash.dfu import flash_by_dfu

    return flash_by_dfu(image, target, probe=probe, progress=progress)


def _shake_hands(port: str, target: Target, firmware: Firmware, progress: Progress) -> DeviceModel:
    """What the board says it runs, once it has started.

    Raises:
        DeviceError: it does not boot.
        MismatchError: it runs another model.
    """
    progress("asking the board what it runs", 0, None)
    baud = target.link.baud if isinstance(target.link, SerialLink) else 0
    try:
        with open_serial(port, baud=baud) as device:
            running = device.info()
    except DeviceError as e:
        hint = f"press reset, then: edgecompress measure {target.name} --port {port}"
        raise DeviceError(f"the firmware is written, but the board does not answer: {e.message}", hint=f"{e.hint}; {hint}") from e
    if running.sha256 != firmware.info.sha256:
        raise MismatchError(
            f"the board on {port} runs {running.name} (sha256 {running.sha256[:12]}), not the {firmware.info.name} that was written"
            f" (sha256 {firmware.info.sha256[:12]})",
            hint="is that port another board's? Name the right one with --port",
        )
    return running
