"""A machine that takes files and runs programs: this computer, a phone behind adb, a board behind ssh.

What measures a model there (the native runner, LiteRT's benchmark_model, the Python worker) is written against `Remote` alone.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from edgecompress.errors import DeviceError, OutputError


@dataclass(frozen=True)
class Finished:
    """A program that ended by itself. `exit_code` is the program's; one that a signal ended has 128 + the signal's number."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Remote(Protocol):
    """One open machine with a fresh folder for this run, which is gone after `close`. A context manager; `close` may be called twice."""

    @property
    def name(self) -> str:
        """What the machine is called in messages: `local`, `adb:SERIAL`, `ssh:USER@HOST`."""
        ...

    @property
    def folder(self) -> str:
        """The run's folder there, absolute. Names of files are relative to it."""
        ...

    @property
    def left_behind(self) -> str | None:
        """After `close`: a sentence about what could not be removed there; None when nothing stayed."""
        ...

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        """Copy a file there, and check by its hash that it came whole.

        Raises:
            DeviceError: it has no space, or refuses.
            LinkError: the link was lost, or damaged the file.
        """
        ...

    def run(self, command: Sequence[str], *, timeout_s: float) -> Finished:
        """Run a program to its end, inside the folder, without a shell in between: each word arrives as it is.

        Args:
            timeout_s: after this long the program is ended on that machine.

        Raises:
            DeviceError: it did not end in time, or cannot be started.
            LinkError: the link was lost before its exit code came.
        """
        ...

    def pull(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            DeviceError: there is no such file.
            LinkError: the link was lost.
        """
        ...

    def close(self) -> None:
        """End what still runs, and remove the folder."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


@contextmanager
def closed_on_failure(remote: Remote) -> Iterator[None]:
    """The machine stays open when the block ends well; otherwise it is closed, and the error says what could not be removed there."""
    try:
        yield
    except BaseException as e:
        remote.__exit__(type(e), e, e.__traceback__)
        raise


class LocalRemote:
    """This computer. `prefix` is put before each program that was pushed: a user-mode emulator, for a foreign processor."""

    def __init__(self, *, prefix: Sequence[str] = ()) -> None:
        try:
            self._folder = tempfile.mkdtemp(prefix="edgecompress-")
        except OSError as e:
            raise OutputError(f"{tempfile.gettempdir()}: cannot be written: {e.strerror}", hint="set TMPDIR to another folder") from e
        self._prefix = tuple(prefix)

    @property
    def name(self) -> str:
        return "local"

    @property
    def folder(self) -> str:
        return self._folder

    @property
    def left_behind(self) -> str | None:
        return None

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        target = Path(self._folder) / name
        try:
            shutil.copyfile(source, target)
            target.chmod(0o755 if executable else 0o644)
        except OSError as e:
            raise OutputError(f"{target}: cannot be written: {e.strerror}", hint="free some space, or set TMPDIR to another folder") from e

    def run(self, command: Sequence[str], *, timeout_s: float) -> Finished:
        words = [*self._prefix, *command] if command[0].startswith("./") else list(command)
        try:
            done = subprocess.run(words, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as e:
            raise DeviceError(f"{command[0]} did not end within {timeout_s:g} s", hint="ask for fewer runs") from e
        except OSError as e:
            raise DeviceError(f"{words[0]}: cannot be started: {e.strerror}", hint="edgecompress doctor says what is installed") from e
        return Finished(done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr)

    def pull(self, name: str) -> bytes:
        try:
            return (Path(self._folder) / name).read_bytes()
        except OSError as e:
            raise DeviceError(f"{name}: cannot be read back: {e.strerror}", hint="measure again") from e

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
