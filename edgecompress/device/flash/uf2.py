"""Flashing by a copy: a boot loader shows itself as a USB drive, takes a UF2 file, and restarts into it; then the drive is gone.

The drive is known by the line `Board-ID: ...` of its INFO_UF2.TXT (https://github.com/microsoft/uf2). What was written cannot be read back
there: that the drive vanishes means that every block arrived, and the serial handshake compares what then runs.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edgecompress.errors import DeviceError
from edgecompress.progress import Progress
from edgecompress.target import Target

INFO_NAME = "INFO_UF2.TXT"
FIRMWARE_NAME = "firmware.uf2"
# Time to hold BOOTSEL and plug the board in, and for the desktop to mount the drive.
DRIVE_TIMEOUT_S = 20.0
# A Pico restarts within a second of the last block; a slow host notices later.
RESTART_TIMEOUT_S = 15.0
_POLL_S = 0.1
_WRITE_BYTES = 16 << 10
_INFO_BYTES = 4096
_FAT = frozenset({"vfat", "msdos", "fuseblk", "exfat"})


def flash_by_copy(
    data: bytes,
    target: Target,
    *,
    drive: str | None,
    progress: Progress,
    wait_s: float = DRIVE_TIMEOUT_S,
    restart_s: float = RESTART_TIMEOUT_S,
) -> Path:
    """Copy a UF2 file to the boot loader's drive, and wait until the board has restarted.

    Args:
        data: the UF2 file.
        target: with `flash.drive`, the Board-ID of the drive.
        drive: its folder; None for the only one that is mounted.
        wait_s: for the drive to appear; `restart_s`: for it to vanish.

    Returns:
        The drive's folder.

    Raises:
        DeviceError: there is no drive or no choice among several, it cannot be written, or it stays.
    """
    folder = _wait_for_drive(target, drive, wait_s, progress)
    _copy(data, folder, progress)
    progress("restarting", 0, None)
    deadline = time.monotonic() + restart_s
    while read_board_id(folder) is not None:
        if time.monotonic() > deadline:
            raise DeviceError(
                f"{target.name} did not restart: its drive {folder} is still there {restart_s:g} s after the copy",
                hint="the boot loader did not take the file: unplug the board, hold BOOTSEL while plugging it in, and flash again",
            )
        time.sleep(_POLL_S)
    return folder


def mounted_folders() -> list[Path]:
    """Where drives with a FAT file system are mounted on this computer."""
    if sys.platform == "win32":
        return [Path(f"{letter}:/") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ"]
    if sys.platform == "darwin":
        return sorted(Path("/Volumes").glob("*"))
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    # device folder type options 0 0; blanks in a folder are \040 (man 5 fstab).
    rows = [line.split(" ") for line in lines]
    return [Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), row[1])) for row in rows if len(row) > 2 and row[2] in _FAT]


def read_board_id(folder: Path) -> str | None:
    """The Board-ID of a boot loader's drive; None where there is none."""
    try:
        with (folder / INFO_NAME).open("rb") as file:
            text = file.read(_INFO_BYTES).decode("ascii", "replace")
    except OSError:
        return None
    found = re.search(r"^Board-ID:\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def _wait_for_drive(target: Target, drive: str | None, wait_s: float, progress: Progress) -> Path:
    wanted = target.flash.drive if target.flash else None
    deadline = time.monotonic() + wait_s
    while True:
        folders = mounted_folders() if drive is None else [Path(drive)]
        ids = {folder: board_id for folder in folders if (board_id := read_board_id(folder)) is not None}
        matching = [folder for folder, board_id in ids.items() if board_id == wanted]
        if len(matching) > 1:
            listed = ", ".join(str(folder) for folder in matching)
            raise DeviceError(f"{len(matching)} drives are called {wanted}: {listed}", hint=f"choose one: --probe {matching[0]}")
        if matching:
            return matching[0]
        if time.monotonic() >= deadline:
            raise _no_drive(target, drive, ids)
        progress(f"waiting for the drive {wanted} (hold BOOTSEL while you plug the board in)", 0, None)
        time.sleep(_POLL_S)


def _no_drive(target: Target, drive: str | None, others: dict[Path, str]) -> DeviceError:
    wanted = target.flash.drive if target.flash else None
    found = f"; found {_listed(others)}" if others else ""
    where = f"{drive} is no drive of a boot loader called {wanted}" if drive else f"no drive of a boot loader called {wanted} is mounted"
    return DeviceError(
        f"{where}{found}",
        hint="hold BOOTSEL while you plug the board in; without a desktop, mount the drive (udisksctl mount -b /dev/sda1)",
    )


def _listed(drives: dict[Path, str]) -> str:
    return ", ".join(f"{board_id or 'an unnamed one'} at {folder}" for folder, board_id in drives.items())


def _copy(data: bytes, folder: Path, progress: Progress) -> None:
    written = 0
    try:
        with (folder / FIRMWARE_NAME).open("wb", buffering=0) as file:
            for part in _parts(data):
                file.write(part)
                written += len(part)
                progress("writing", written, len(data))
            os.fsync(file.fileno())
    except OSError as e:
        # The board restarts with the last block: the drive may be gone before the file is closed.
        if written == len(data) and read_board_id(folder) is None:
            return
        hint = "unplug the board, hold BOOTSEL while plugging it in, and flash again"
        raise DeviceError(f"{folder / FIRMWARE_NAME}: cannot be written: {e.strerror or e}", hint=hint) from e


def _parts(data: bytes) -> Sequence[bytes]:
    return [data[at : at + _WRITE_BYTES] for at in range(0, len(data), _WRITE_BYTES)]
