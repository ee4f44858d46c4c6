"""Flashing through a boot loader that speaks USB DFU with ST's extensions (AN3156), by dfu-util: write, read back, leave.

`leave` goes with the second command: dfu-util passes it on after reading as well as after writing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgecompress.device.flash.probe import check_bytes
from edgecompress.device.flash.programs import Complaint, check_serial, failure, run_program
from edgecompress.elf import Image
from edgecompress.progress import Progress
from edgecompress.target import Target

INSTALL = "apt install dfu-util"
_ERASED = 0xFF

_COMPLAINTS = (
    Complaint(
        r"no dfu capable usb device",
        "no board in its DFU boot loader is connected",
        "hold BOOT0 while you reset the board, and connect its own USB plug, not that of the debug chip",
    ),
    Complaint(
        r"more than one dfu capable",
        "several boards in their DFU boot loader are connected",
        "choose one: --probe SERIAL (dfu-util --list)",
    ),
    Complaint(r"cannot open device|LIBUSB_ERROR_ACCESS", "you may not open the DFU device", "run as root, or add a udev rule for it"),
    Complaint(
        r"not readable|not writeable|errVENDOR|errTARGET|errWRITE",
        "the boot loader refuses access to flash: the chip may be locked",
        "unlocking erases all it holds: dfu-util -s :unprotect:force; then flash again",
    ),
)


def flat_image(image: Image) -> tuple[int, bytes]:
    """An image as one piece: its lowest address, and the bytes from there, with gaps as erased flash.

    The firmware's segments lie within the target's flash, so this is no larger than that.
    """
    pieces = [segment for segment in image.segments if segment.data]
    start = min(piece.load_address for piece in pieces)
    end = max(piece.load_address + len(piece.data) for piece in pieces)
    flat = bytearray([_ERASED]) * (end - start)
    for piece in pieces:
        at = piece.load_address - start
        flat[at : at + len(piece.data)] = piece.data
    return start, bytes(flat)


def flash_by_dfu(image: Image, target: Target, *, probe: str | None, progress: Progress) -> str:
    """Write an image, read it back, and leave the boot loader.

    Args:
        target: with `flash.usb`.
        probe: the boot loader's serial number; None when there is only one.

    Returns:
        The USB id that was written to.

    Raises:
        ToolError: dfu-util is not installed.
        DeviceError: no board is in its boot loader, it refuses, or flash holds other bytes afterwards.
    """
    check_serial(probe)
    usb = (target.flash.usb if target.flash else None) or ""
    start, data = flat_image(image)
    common = ["dfu-util", "-d", usb, "-a", "0", *([] if probe is None else ["-S", probe])]
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as name:
        folder = Path(name)
        (folder / "firmware.bin").write_bytes(data)
        progress("erasing and writing (dfu-util)", 0, None)
        ended = run_program([*common, "-s", f"{start:#010x}", "-D", "firmware.bin"], cwd=folder, install=INSTALL)
        if ended.code != 0:
            raise failure("dfu-util", ended, _COMPLAINTS)
        progress("verifying (dfu-util)", 0, None)
        ended = run_program([*common, "-s", f"{start:#010x}:{len(data)}:leave", "-U", "back.bin"], cwd=folder, install=INSTALL)
        back = folder / "back.bin"
        # A board that leaves at once makes dfu-util's last question fail; what counts are the bytes.
        if not back.is_file() or back.stat().st_size != len(data):
            raise failure("dfu-util", ended, _COMPLAINTS)
        check_bytes(back.read_bytes(), data, start, target)
    return usb
