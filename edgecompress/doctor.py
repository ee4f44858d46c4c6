"""What this computer has of what the toolkit can use, what is missing, and the command that installs it.

Nothing heavy is imported: versions come from the packages' metadata, so a broken TensorFlow cannot break its own diagnosis.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.tools import cache_dir

if TYPE_CHECKING:
    from edgecompress.device.ports import Port

_PROGRAM_TIMEOUT_S = 10.0


class State(Enum):
    """OK, MISSING, or WRONG: there, but not as it is needed."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One part: whether it is there, which version or path was found, what it is for, and how to get it (empty when it is fine)."""

    part: str
    state: State
    found: str
    purpose: str
    remedy: str = ""


@dataclass(frozen=True)
class _Package:
    name: str
    purpose: str


@dataclass(frozen=True)
class _Program:
    name: str
    purpose: str
    remedy: str


_PACKAGES = (
    _Package("tensorflow", "training and conversion (compress, demo)"),
    _Package("keras", "models (compress, demo)"),
    _Package("ai-edge-litert", "models on this computer (local, verify)"),
    _Package("tflite-micro", "reference bytes of TensorFlow Lite Micro (verify, measure)"),
    _Package("ziglang", "cross compiler (build --toolchain zig)"),
    _Package("unicorn", "emulated Cortex-M cores (cortex-m0plus ... cortex-m33)"),
    _Package("pyserial", "boards on a serial port (--port) and QEMU machines"),
    _Package("joulescope", "energy of boards (measure --energy joulescope)"),
    _Package("ppk2-api", "energy of boards (measure --energy ppk2)"),
    _Package("scikit-learn", "the demo's handwritten digits (demo)"),
)

_PROGRAMS = (
    _Program("qemu-system-arm", "QEMU machines (qemu-mps2-an386, qemu-mps2-an500, qemu-mps3-an547)", "apt install qemu-system-arm"),
    _Program("arm-none-eabi-gcc", "the other compiler (build --toolchain gcc)", "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    _Program("arm-none-eabi-g++", "TensorFlow Lite Micro on cores (--engine tflm)", "apt install libstdc++-arm-none-eabi-newlib"),
    _Program("openocd", "debug probes (flash --method openocd)", "apt install openocd"),
    _Program("dfu-util", "boot loaders that speak DFU (flash --method dfu)", "apt install dfu-util"),
    _Program("adb", "phones (adb:SERIAL)", "apt install adb, or set EDGECOMPRESS_ADB to its path"),
    _Program("ssh", "Linux boards (ssh:USER@HOST)", "apt install openssh-client"),
)

_NO_WHEEL = "no wheel for this platform (wheels are for Linux on x86-64 only): the rung is reported as missing, all else works"


def doctor() -> list[Finding]:
    """Look at this installation; nothing is changed, and nothing raises.

    Example:
        >>> any(finding.part == "ziglang" for finding in edgecompress.doctor())
        True
    """
    return list(_findings())


def _findings() -> Iterator[Finding]:
    yield _python()
    requirements = _requirements()
    for package in _PACKAGES:
        yield _package(package, requirements)
    for program in _PROGRAMS:
        yield _program(program)
    yield _cache_folder()
    yield from _probes()
    yield from _serial_ports()


def _python() -> Finding:
    return Finding("python", State.OK, platform.python_version(), f"this toolkit, {platform.system()} {platform.machine()}")


def _requirements() -> dict[str, str]:
    """The version that this package asks for, by package name: {"unicorn": "==2.1.4"}; empty when it runs without being installed."""
    try:
        lines = importlib.metadata.requires("edgecompress") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*([^;]*)", line) for line in lines)
    return {match[1].lower(): match[2].strip() for match in found if match}


def _package(package: _Package, requirements: Mapping[str, str]) -> Finding:
    wanted = requirements.get(package.name, "")
    remedy = f"pip install '{package.name}{wanted}'"
    try:
        version = importlib.metadata.version(package.name)
    except importlib.metadata.PackageNotFoundError:
        if package.name == "tflite-micro" and not _has_tflm_wheel():
            remedy = _NO_WHEEL
        return Finding(package.name, State.MISSING, "", package.purpose, remedy)
    if wanted.startswith("==") and version != wanted.removeprefix("=="):
        return Finding(package.name, State.WRONG, version, package.purpose, remedy)
    return Finding(package.name, State.OK, version, package.purpose)


def _has_tflm_wheel() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64"


def _program(program: _Program) -> Finding:
    path = _find_program(program.name)
    if path is None:
        return Finding(program.name, State.MISSING, "", program.purpose, program.remedy)
    version = _version_of(program.name, path)
    if version is None:
        return Finding(program.name, State.WRONG, path, program.purpose, f"{path} --version fails: {program.remedy}")
    return Finding(program.name, State.OK, version, program.purpose)


def _find_program(name: str) -> str | None:
    """The program's path: adb also by $EDGECOMPRESS_ADB and in the Android SDK, the others on PATH."""
    if name != "adb":
        return shutil.which(name)
    home = os.environ.get("ANDROID_HOME", "")
    in_sdk = Path(home) / "platform-tools" / name
    return os.environ.get("EDGECOMPRESS_ADB") or shutil.which(name) or (str(in_sdk) if home and in_sdk.is_file() else None)


def _version_of(name: str, path: str) -> str | None:
    """The first number of the form 1.2 or 1.2.3 that `path --version` prints, or the path where there is none; None when it fails."""
    try:
        done = subprocess.run(
            [path, "-V" if name == "ssh" else "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROGRAM_TIMEOUT_S,
            check=True,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # ssh tells its version on stderr.
    found = re.search(r"\d+(?:\.\d+)+", done.stdout or done.stderr)
    return found[0] if found else path


def _cache_folder() -> Finding:
    """The compiler keeps its run-time library per core there; without it each first link takes 20 seconds again."""
    folder = cache_dir()
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    purpose = "the compiler's cache"
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as e:
        remedy = "set XDG_CACHE_HOME to a folder that you may write to"
        return Finding("cache folder", State.WRONG, f"{folder}: {e.strerror or e}", purpose, remedy)
    return Finding("cache folder", State.OK, str(folder), purpose)


def _serial_ports() -> Iterator[Finding]:
    """The ports, each with the shipped targets whose board it can be."""
    purpose = "a board (--port)"
    if importlib.util.find_spec("serial") is None:
        return
    from edgecompress.device.ports import list_ports

    ports = list_ports()
    for port in ports:
        names = _names_of(port)
        words = f"{port}: can be {', '.join(names)}" if names else str(port)
        if os.access(port.url, os.R_OK | os.W_OK) or os.name == "nt":
            yield Finding("serial port", State.OK, words, purpose)
        else:
            yield Finding("serial port", State.WRONG, words, purpose, "no permission: sudo usermod -aG dialout $USER, then log in again")
    if not ports:
        yield Finding("serial port", State.MISSING, "", purpose, "connect a board; emulated cores and QEMU need none")


def _names_of(port: Port) -> list[str]:
    from edgecompress.device.ports import matching_names
    from edgecompress.errors import TargetError
    from edgecompress.target import all_targets

    try:
        return matching_names(port, all_targets())
    except TargetError:
        # A damaged target file is no reason to hide the ports.
        return []


def _probes() -> Iterator[Finding]:
    """pyocd, which is optional, and the debug probes that it sees."""
    from edgecompress.device.flash.probe import INSTALL, is_installed, list_probes
    from edgecompress.errors import EdgeCompressError

    if not is_installed():
        yield Finding("pyocd", State.MISSING, "", "debug probes (flash)", f"{INSTALL}; Picos are flashed without it")
        return
    try:
        probes = list_probes()
    except EdgeCompressError as e:
        yield Finding("debug probe", State.WRONG, e.message, "flash", e.hint)
        return
    for probe in probes:
        yield Finding("debug probe", State.OK, str(probe), "flash (--probe)")
    if not probes:
        yield Finding("debug probe", State.MISSING, "", "flash", "connect a board by the USB plug of its debug chip; Picos need none")
