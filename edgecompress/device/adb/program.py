"""The adb program: where it is, and one call of it with bounded time and bounded output.

What it prints comes partly from the phone and is believed by nobody before it was parsed. Each call is a process of its own session, so
that Ctrl-C in a terminal reaches us alone and we can still clean up through adb.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from edgecompress.device.adb.complaints import SERVER_HINT, explain
from edgecompress.errors import DeviceError, EdgeCompressError, LinkError, ToolError

# Of one call's standard output and standard error, each; a program on the phone that prints more is not one of ours.
MOST_OUTPUT_BYTES = 16 << 20
# Between adb's end and the end of its pipes, which a server that it started may hold open.
_PIPE_GRACE_S = 1.0
_CHUNK_BYTES = 1 << 16
_WATCH_S = 0.1
# What adb's server does itself, without a phone.
_SERVER_VERBS = ("connect", "devices", "disconnect")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NOISE = re.compile(r"\* daemon|\[ *\d+%\]")
_INSTALL_HINT = (
    "install it (Debian: apt-get install adb; pip install adbutils; or Android's platform-tools), "
    "or set EDGECOMPRESS_ADB to the program's path"
)


@dataclass(frozen=True)
class Patience:
    """How long adb may take before the link counts as lost, in seconds.

    Attributes:
        call_s: a short question, the start of adb's server included.
        connect_s: until a phone that was connected over the network is ready.
        transfer_s, bytes_per_s: a file may take `transfer_s + bytes / bytes_per_s`; slow Wi-Fi gives some 1 MB/s.
        kill_after_s: between the polite signal to a program that takes too long and the one that cannot be ignored.
    """

    call_s: float = 20.0
    connect_s: float = 15.0
    transfer_s: float = 30.0
    bytes_per_s: int = 200_000
    kill_after_s: float = 5.0

    def transfer(self, size_bytes: int) -> float:
        """Seconds that a file of this size may take."""
        return self.transfer_s + size_bytes / self.bytes_per_s


@dataclass(frozen=True)
class Answer:
    """What one call of adb gave. `exit_code` is adb's own, which lies for `connect` and for a lost shell."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Both streams as text, error stream last, without how far it had come and what adb says about starting its server."""
        lines = _CONTROL.sub("", (self.stdout + b"\n" + self.stderr).decode("utf-8", "replace")).splitlines()
        return "\n".join(line for line in lines if line.strip() and not _NOISE.match(line))


def find_adb() -> str:
    """The adb program: $EDGECOMPRESS_ADB, PATH, $ANDROID_HOME/platform-tools, or the one inside the package adbutils.

    Raises:
        ToolError: there is none, or $EDGECOMPRESS_ADB names no program.
    """
    named = os.environ.get("EDGECOMPRESS_ADB")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ToolError(f"EDGECOMPRESS_ADB names {named}, which is no program", hint="correct it, or unset it to search PATH")
        return found
    home = os.environ.get("ANDROID_HOME")
    in_sdk = shutil.which("adb", path=str(Path(home) / "platform-tools")) if home else None
    found = shutil.which("adb") or in_sdk or _bundled_adb()
    if found is None:
        raise ToolError("the program adb is not installed", hint=_INSTALL_HINT)
    return found


def _bundled_adb() -> str | None:
    """The adb inside the package adbutils, which is not imported for it."""
    spec = importlib.util.find_spec("adbutils")
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    return next((found for folder in folders if (found := shutil.which("adb", path=str(Path(folder) / "binaries")))), None)


@dataclass(frozen=True)
class Adb:
    """adb for one phone, or for none when `serial` is empty."""

    program: str
    serial: str = ""
    patience: Patience = field(default_factory=Patience)

    @property
    def phone(self) -> str:
        """What the phone is called in messages."""
        return f"adb:{self.serial}" if self.serial else "the phone"

    def call(self, *words: str, timeout_s: float | None = None, watch: Callable[[bytes], None] | None = None) -> Answer:
        """Run adb to its end, whatever its exit code.

        Args:
            timeout_s: on this computer; `patience.call_s` when None.
            watch: called a few times a second with what adb has printed; adb then writes both streams to a
                terminal, where the system has such, because only there it says how far a file has come.

        Raises:
            LinkError, ToolError: it did not end in time, because of the phone or of adb's server.
            DeviceError: it printed more than MOST_OUTPUT_BYTES.
            ToolError: it cannot be started.
        """
        limit_s = self.patience.call_s if timeout_s is None else timeout_s
        to_phone = bool(self.serial) and words[0] not in _SERVER_VERBS
        command = [self.program, *(("-s", self.serial) if to_phone else ()), *words]
        process, stdout_of = _start(command, on_terminal=watch is not None)
        readers = (_Reader(process, stdout_of), _Reader(process, process.stderr))
        try:
            if not _wait(process, limit_s, None if watch is None else lambda: watch(readers[0].so_far())):
                raise self._silence(words[0], limit_s)
        finally:
            process.kill()
            process.wait()
            stdout, stderr = (reader.finish() for reader in readers)
        if any(reader.overflowed for reader in readers):
            raise DeviceError(
                f"{self.phone}: `adb {words[0]}` printed more than {MOST_OUTPUT_BYTES >> 20} MiB", hint="the program there runs wild"
            )
        return Answer(process.returncode, stdout, stderr)

    def ask(self, *words: str, timeout_s: float | None = None) -> str:
        """The text of a call that succeeds.

        Raises:
            DeviceError, LinkError, ToolError: it fails, with what to do next.
        """
        answer = self.call(*words, timeout_s=timeout_s)
        if answer.exit_code != 0:
            raise self.error(answer.text, doing=f"adb {words[0]}")
        return answer.text

    def _silence(self, verb: str, limit_s: float) -> EdgeCompressError:
        if verb == "devices":
            return ToolError(f"adb's server gave no answer within {limit_s:.3g} s (adb devices)", hint=SERVER_HINT)
        return LinkError(
            f"{self.phone}: `adb {verb}` gave no answer within {limit_s:.3g} s",
            hint="reconnect the phone; when that does not help, run adb kill-server and try again",
        )

    def error(self, text: str, *, doing: str) -> EdgeCompressError:
        """The error behind a text of adb."""
        return explain(text, phone=self.phone, doing=doing)


def _start(command: Sequence[str], *, on_terminal: bool) -> tuple[subprocess.Popen[bytes], IO[bytes] | None]:
    """Start adb; the process, and where its standard output can be read.

    Raises:
        ToolError: it cannot be started.
    """
    ours, theirs = _open_terminal() if on_terminal and os.name == "posix" else (None, subprocess.PIPE)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE if ours is None else subprocess.STDOUT,
            env={**os.environ, "TERM": "xterm"} if ours is not None else None,
            start_new_session=True,
        )
    except OSError as e:
        if ours is not None:
            ours.close()
        raise ToolError(f"{command[0]}: cannot be started: {e.strerror}", hint=_INSTALL_HINT) from e
    finally:
        if ours is not None:
            os.close(theirs)
    return process, process.stdout if ours is None else ours


def _open_terminal() -> tuple[IO[bytes], int]:
    """A pseudo-terminal: our end, and the descriptor of adb's."""
    import pty

    ours, theirs = pty.openpty()
    return os.fdopen(ours, "rb", buffering=0), theirs


def _wait(process: subprocess.Popen[bytes], limit_s: float, watch: Callable[[], None] | None) -> bool:
    """Wait for a process; False when it did not end in time."""
    deadline = time.monotonic() + limit_s
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            process.wait(left_s if watch is None else min(left_s, _WATCH_S))
            return True
        except subprocess.TimeoutExpired:
            if watch is not None:
                watch()
    return False


class _Reader:
    """Collects one stream of a process in a thread; the process is ended when it prints too much."""

    def __init__(self, process: subprocess.Popen[bytes], stream: IO[bytes] | None) -> None:
        self.overflowed = False
        self._process = process
        self._stream = stream
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        if self._stream is None:
            return
        # The end of a terminal is an error (EIO).
        with self._stream, suppress(OSError):
            while chunk := os.read(self._stream.fileno(), _CHUNK_BYTES):
                if len(self._data) + len(chunk) > MOST_OUTPUT_BYTES:
                    self.overflowed = True
                    self._process.kill()
                    return
                self._data += chunk

    def so_far(self) -> bytes:
        """What has come until now."""
        return bytes(self._data)

    def finish(self) -> bytes:
        """All that came, once the process has ended."""
        self._thread.join(_PIPE_GRACE_S)
        return bytes(self._data)
