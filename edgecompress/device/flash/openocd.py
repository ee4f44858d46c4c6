"""Flashing through OpenOCD: its `program` command writes, verifies and resets; the target names the board's file among its scripts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edgecompress.device.flash.programs import Complaint, check_serial, failure, run_program
from edgecompress.progress import Progress
from edgecompress.target import Target

INSTALL = "apt install openocd"

_COMPLAINTS = (
    Complaint(
        r"serial mismatch",
        "OpenOCD finds no debug probe with that serial number",
        "leave --probe out when only one is connected",
    ),
    Complaint(
        r"open failed|no device found|unable to find a matching|no j-link device found|no cmsis-dap device",
        "OpenOCD finds no debug probe",
        "connect the board by the USB plug of its debug chip; on Linux, OpenOCD needs its udev rules",
    ),
    Complaint(
        r"device protected|device is secured|read.protection is|rdp level [12]|approtect",
        "the chip is locked against its debug port",
        "unlocking erases all it holds: see `unlock` of its flash driver in OpenOCD's manual; then flash again",
    ),
    Complaint(
        r"can't find .*\.cfg", "OpenOCD lacks the board's file", "install OpenOCD 0.12 or later, or change flash.config of the target"
    ),
    Complaint(
        r"verify failed", "the flash holds other bytes than were written", "flash again; if that repeats, it is worn out or protected"
    ),
    Complaint(
        r"unable to connect to the target|target not examined|cannot connect",
        "the chip behind the debug probe does not answer",
        "is the board powered, and the right one? Hold its reset button while it connects",
    ),
)


def flash_by_openocd(elf: Path, target: Target, *, probe: str | None, progress: Progress) -> str:
    """Write a firmware.elf, verify it, and reset the board.

    Args:
        target: with `flash.config`.
        probe: a probe's serial number; None when there is only one.

    Returns:
        The file that OpenOCD was given.

    Raises:
        ToolError: OpenOCD is not installed.
        DeviceError: it failed: no probe, a locked chip, or what it says itself.
    """
    check_serial(probe)
    config = (target.flash.config if target.flash else None) or ""
    progress("erasing, writing and verifying (openocd)", 0, None)
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
        # OpenOCD's commands are Tcl: a plain name needs no quoting.
        shutil.copyfile(elf, Path(folder) / "firmware.elf")
        serial = [] if probe is None else ["-c", f"adapter serial {probe}"]
        command = ["openocd", "-f", config, *serial, "-c", "program firmware.elf verify reset exit"]
        ended = run_program(command, cwd=Path(folder), install=INSTALL)
    if ended.code != 0:
        raise failure("openocd", ended, _COMPLAINTS)
    return config
