"""QEMU machines: started here, reached through their UART, ended with the device.

The UART is a loopback TCP connection. The listening socket is made here and handed to QEMU, so no port number has to be guessed.
"""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from edgecompress.artifact import Firmware
from edgecompress.device.interface import DeviceModel, device_model
from edgecompress.device.link import open_link
from edgecompress.device.serial import SerialDevice
from edgecompress.device.ticks import qemu_instructions
from edgecompress.errors import DeviceError, LinkError, TargetError, ToolError
from edgecompress.profile import Measurement
from edgecompress.target import QemuLink, Target

PROGRAM = "qemu-system-arm"
# From exec to the first reply; measured 0.2 s, more on a busy machine.
START_TIMEOUT_S = 30.0
# QEMU's socket has no baud rate; pyserial wants a number.
_ANY_BAUD = 115200
_LAST_LINES = 5
_UART = "uart0"


def open_qemu(firmware: Firmware, target: Target) -> QemuDevice:
    """Start the target's QEMU machine with a firmware.

    Raises:
        TargetError: the target is no QEMU machine.
        ToolError: QEMU is missing, or stopped.
        DeviceError: the firmware does not answer, or is not the one that was given.
    """
    link = _qemu_link(target)
    machine = start_on_socket(firmware.elf, link)
    try:
        return QemuDevice(machine, firmware, target, link)
    except BaseException:
        machine.stop()
        raise


def qemu_version() -> str:
    """The first line of `qemu-system-arm --version`.

    Raises:
        ToolError: it is not installed, or does not run.
    """
    return _version_of(_program())


class Machine:
    """A running QEMU process whose UART is at `url`. It does not outlive this process."""

    def __init__(self, command: Sequence[str], *, url: str = "", inherited: Sequence[int] = ()) -> None:
        """Start QEMU; `inherited` are file descriptors that its command names.

        Raises:
            ToolError: it cannot be started.
        """
        self.command = list(command)
        self.url = url
        self._log = Path(tempfile.mkdtemp(prefix="edgecompress-qemu-")) / "qemu.log"
        try:
            with self._log.open("wb") as log:
                # A session of its own: Ctrl-C reaches us alone, and we end QEMU in order.
                self._process = subprocess.Popen(
                    [*_leash(), *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=tuple(inherited),
                    start_new_session=True,
                )
        except OSError as e:
            shutil.rmtree(self._log.parent, ignore_errors=True)
            raise ToolError(f"{self.command[0]} cannot be started: {e.strerror}", hint="edgecompress doctor checks the tools") from e
        atexit.register(self.stop)

    def said(self) -> str:
        """What QEMU wrote so far."""
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def last_words(self, timeout_s: float = 0.5) -> str | None:
        """The end of what QEMU wrote, when it stops by itself within `timeout_s`; None while it runs."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        lines = [line for line in self.said().splitlines() if line.strip() and "waiting for connection" not in line]
        return " | ".join(lines[-_LAST_LINES:]) or "it wrote nothing"

    def stop(self) -> None:
        """End the process; may be called twice."""
        atexit.unregister(self.stop)
        self._process.kill()  # it holds nothing that is worth an orderly end, which takes 0.3 s
        self._process.wait()
        shutil.rmtree(self._log.parent, ignore_errors=True)


def start_on_socket(elf: Path, link: QemuLink) -> Machine:
    """A machine that waits for one connection to its `url` before it runs.

    Raises:
        ToolError: QEMU is missing or cannot be started.
    """
    program = _program()
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        host, port = listener.getsockname()
        back_end = f"socket,id={_UART},fd={listener.fileno()},server=on,wait=on,nodelay=on"
        command = machine_command(program, elf, link, back_end)
        return Machine(command, url=f"socket://{host}:{port}", inherited=[listener.fileno()])


def start_on_pty(elf: Path, link: QemuLink) -> Machine:
    """A machine whose UART is a pseudo-terminal (`url` is its path), for programs that want a serial port. Not on Windows.

    Raises:
        ToolError: QEMU is missing or cannot be started, or names no terminal.
    """
    machine = Machine(machine_command(_program(), elf, link, f"pty,id={_UART}"))
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        named = re.search(r"redirected to (\S+) \(label", machine.said())
        if named is not None:
            machine.url = named[1]
            return machine
        if machine.last_words(0.05) is not None:
            break
    said = " | ".join(machine.said().splitlines()[-_LAST_LINES:])
    machine.stop()
    raise ToolError(f"{PROGRAM} names no pseudo-terminal; it wrote: {said}", hint=f"the command was: {' '.join(machine.command)}")


def machine_command(program: str, elf: Path, link: QemuLink, back_end: str) -> list[str]:
    """The command that starts a machine; `back_end` is the QEMU character device (with the id uart0) behind its UART."""
    return [
        program,
        *("-M", link.machine),
        *("-kernel", str(elf)),
        *("-icount", f"shift={link.icount_shift}"),
        *("-display", "none"),
        *("-monitor", "none"),
        *("-chardev", back_end),
        *("-serial", f"chardev:{_UART}"),
    ]


class QemuDevice:
    """Our firmware in QEMU: a serial device that counts instructions."""

    def __init__(self, machine: Machine, firmware: Firmware, target: Target, link: QemuLink) -> None:
        """Connects. Raises as `open_qemu`."""
        self._machine = machine
        self._firmware = firmware
        environment = {"qemu": qemu_version(), "qemu_machine": link.machine, "qemu_icount_shift": str(link.icount_shift)}
        with self._explained():
            wire = open_link(machine.url, baud=_ANY_BAUD, write_timeout_s=START_TIMEOUT_S)
            try:
                self._serial = SerialDevice(wire, timeout_s=START_TIMEOUT_S, unit=qemu_instructions(link), environment=environment)
                self._check(target, link)
            except BaseException:
                wire.close()
                raise

    def info(self) -> DeviceModel:
        """The firmware's model; the device confirmed its sha256."""
        return device_model(self._firmware.info)

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """Raises as `Device.run`; ToolError when QEMU stopped."""
        with self._explained():
            return self._serial.run(inputs)

    def measure(self, inputs: Sequence[bytes], *, runs: int, warmup: int) -> Measurement:
        """Instructions. Raises as `Device.measure`; ToolError when QEMU stopped."""
        with self._explained():
            return self._serial.measure(inputs, runs=runs, warmup=warmup)

    def close(self) -> None:
        """Close the connection and end QEMU; may be called twice."""
        self._serial.close()
        self._machine.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check(self, target: Target, link: QemuLink) -> None:
        said, expected = self._serial.info(), self._firmware.info
        if said.sha256 != expected.sha256:
            raise DeviceError(
                f"{target.name} runs {said.name} (sha256 {said.sha256[:12]}), not {expected.name} ({expected.sha256[:12]})",
                hint="build the firmware again",
            )
        wanted = link.reported_hz or link.counter_hz
        if self._serial.clock.ticks_hz != wanted:
            raise TargetError(
                f"{target.name}: the target file says that its counter runs at {wanted} Hz, the board {self._serial.clock.ticks_hz}",
                hint="correct counter_hz, or reported_hz, in the target file",
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A link error that comes from QEMU's end says why QEMU ended."""
        try:
            yield
        except LinkError as e:
            words = self._machine.last_words()
            if words is None:
                raise
            raise ToolError(f"{PROGRAM} stopped: {words}", hint=f"the command was: {' '.join(self._machine.command)}") from e


def _qemu_link(target: Target) -> QemuLink:
    if not isinstance(target.link, QemuLink):
        raise TargetError(f"{target.name} is no QEMU machine: its link is {target.link.kind}", hint="edgecompress targets lists them")
    return target.link


def _leash() -> list[str]:
    """What goes before a command so that the system ends it when this process is killed and cannot do it itself.

    The system watches the thread that starts the command, so only the main thread, which lives as long as the process, is a fit one.
    """
    program = shutil.which("setpriv")
    if program is None or threading.current_thread() is not threading.main_thread():
        return []
    return [program, "--pdeathsig", "KILL", "--"]


def _program() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        raise ToolError(f"{PROGRAM} is not installed", hint="apt-get install qemu-system-arm (Debian, Ubuntu), or brew install qemu")
    return program


@functools.lru_cache(maxsize=4)
def _version_of(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=START_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as e:
        raise ToolError(f"{program} --version failed: {e}", hint="install qemu-system-arm again") from e
    return next(iter(done.stdout.splitlines()), "unknown").removeprefix("QEMU emulator version ").strip()
