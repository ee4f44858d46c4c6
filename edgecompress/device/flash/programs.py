"""OpenOCD and dfu-util: programs that flash, run to their end, and what their complaints mean."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompress.errors import DeviceError, ToolError

# 2 MB through a slow probe take about two minutes.
FLASH_TIMEOUT_S = 600.0
_SHOWN_CHARS = 200
_SERIAL = re.compile(r"[A-Za-z0-9:._-]+")


@dataclass(frozen=True)
class Complaint:
    """A pattern in a program's output, and what it means."""

    pattern: str
    message: str
    hint: str


@dataclass(frozen=True)
class Ended:
    """A program's exit code, and all that it printed."""

    code: int
    text: str


def run_program(command: Sequence[str], *, cwd: Path, install: str) -> Ended:
    """Run a program to its end.

    Raises:
        ToolError: it is not installed (`install` says how to), or cannot be started.
        DeviceError: it does not end within FLASH_TIMEOUT_S.
    """
    name = command[0]
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=FLASH_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as e:
        raise ToolError(f"{name} is not installed, which flashes this board", hint=f"{install}, or choose another --method") from e
    except OSError as e:
        raise ToolError(f"{name} cannot be started: {e.strerror}", hint=install) from e
    except subprocess.TimeoutExpired as e:
        raise DeviceError(f"{name} did not end within {FLASH_TIMEOUT_S:g} s", hint="unplug the board, plug it in, and try again") from e
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"))


def failure(name: str, ended: Ended, complaints: Sequence[Complaint]) -> DeviceError:
    """What a program that failed has to say: the first complaint that we know, or its own last error line."""
    for complaint in complaints:
        if re.search(complaint.pattern, ended.text, re.IGNORECASE):
            return DeviceError(complaint.message, hint=complaint.hint)
    lines = [line.strip() for line in ended.text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"error|.*\bfailed\b", line, re.IGNORECASE)]
    said = (errors or lines or ["nothing"])[-1][:_SHOWN_CHARS]
    return DeviceError(f"{name} failed with exit code {ended.code}: {said}", hint=f"run {name} by itself to see all that it says")


def check_serial(probe: str | None) -> None:
    """A serial number goes into a command line, so it holds nothing else.

    Raises:
        DeviceError: it does.
    """
    if probe is not None and not _SERIAL.fullmatch(probe):
        raise DeviceError(f"{probe!r} is no serial number of a probe", hint="give letters and digits, as the program lists them")
