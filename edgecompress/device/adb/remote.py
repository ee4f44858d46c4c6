"""One run's folder on a phone: files go there and are checked, programs run there, and it is gone afterwards.

A folder's name holds which computer and which process made it. One that could not be removed, because the link was lost for good, is
removed when this computer opens that phone the next time, unless its process still lives.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shlex
import tempfile
import time
import uuid
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgecompress.device.adb.complaints import explain_start, known
from edgecompress.device.adb.phones import choose_phone, wait_ready
from edgecompress.device.adb.program import Adb, Answer, Patience
from edgecompress.device.adb.shell import (
    FOLDER,
    Ended,
    Script,
    make_folder_commands,
    plain_script,
    program_script,
    read_sentinel,
    remove_folders_commands,
)
from edgecompress.device.remote import Finished
from edgecompress.errors import DeviceError, EdgeCompressError, LinkError, OutputError, UserError
from edgecompress.progress import Progress, silent

MOST_PULL_BYTES = 64 << 20
"""Of one file that a phone gives back: far more than any output or report of ours."""
# toybox's timeout exits so when its limit passed, and so when the program ignored the first signal.
_TIMED_OUT = (124, 137)
# The shell's exit codes for a program that cannot be executed, or is not there.
_NOT_STARTED = (126, 127)
_PUSH_TRIES = 2
_REMOVE_TRIES = 3
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}")
# Hashing, on a slow phone with slow storage.
_HASHED_BYTES_PER_S = 20_000_000

_open_folders: set[str] = set()
"""Names of the folders of this process's open phones."""


def open_adb(serial: str | None = None, *, progress: Progress = silent, patience: Patience | None = None) -> AdbRemote:
    """A phone with a fresh folder.

    Args:
        serial: as `list_phones` gives it, or `host:port`, which is connected first; None for the one phone that is there.
        progress: told about files on their way.

    Raises:
        DeviceError: there is none or several, it is not ready, or is too old (before Android 8).
        LinkError: the link is lost.
        TargetError: that can be no serial number.
        ToolError: adb is not installed, or its server does not start.
    """
    adb = choose_phone(serial, patience=patience or Patience())
    if "shell_v2" not in adb.ask("features").split():
        raise DeviceError(f"{adb.phone} cannot keep a program's outputs apart", hint="use a phone with Android 8 or newer")
    remote = AdbRemote(adb, progress)
    try:
        remote.prepare()
    except BaseException as error:
        remote.__exit__(type(error), error, None)
        raise
    return remote


class AdbRemote:
    """A phone behind adb, for one run; `open_adb` makes it. It fulfils `edgecompress.device.remote.Remote`.

    Attributes:
        left_behind: after `close`: None when nothing of ours is on the phone; else a sentence about what could not be removed.
    """

    def __init__(self, adb: Adb, progress: Progress) -> None:
        self.left_behind: str | None = None
        self._adb = adb
        self._progress = progress
        self._name = f"{_own_prefix()}{secrets.token_hex(4)}"
        self._closed = False
        _open_folders.add(self._name)
        # One that is dropped without `close` is swept by the next.
        weakref.finalize(self, _open_folders.discard, self._name)

    @property
    def name(self) -> str:
        return self._adb.phone

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self._name}"

    def prepare(self) -> None:
        """Make the folder, and remove those that runs of this computer had to leave behind; what cannot be goes into `left_behind`.

        Raises:
            DeviceError, LinkError: it cannot be made.
        """
        ended = self._script(make_folder_commands(self.folder, siblings=f"{_computer_prefix()}*"), doing="making a folder")
        found = ended.stdout.decode("utf-8", "replace").split()
        stale = [f"{FOLDER}/{name}" for name in found if name != self._name and _is_stale(name)]
        try:
            if stale:
                self._remove(stale)
        except LinkError:
            raise
        except DeviceError as e:
            self.left_behind = e.message

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        target = f"{self.folder}/{_checked_name(name)}"
        size, digest = _hash_file(source)
        stage = f"copying {name} to {self.name}"
        for _ in range(_PUSH_TRIES):
            self._progress(stage, 0, size)
            answer = self._adb.call(
                "push",
                str(source.absolute()),
                target,
                timeout_s=self._adb.patience.transfer(size),
                watch=lambda printed: self._progress(stage, size * _percent(printed) // 100, size),
            )
            if answer.exit_code != 0:
                raise self._adb.error(answer.text, doing=f"copying {name}")
            arrived = self._arrived(target, "755" if executable else "644", size)
            if arrived == digest:
                self._progress(stage, size, size)
                return
        raise LinkError(
            f"{self.name}: {name} ({size:,} bytes) arrived damaged {_PUSH_TRIES} times: its sha256 there is {arrived[:12]}..., not"
            f" {digest[:12]}...",
            hint="use another cable or another USB port; over Wi-Fi, move closer",
        )

    def run(self, command: Sequence[str], *, timeout_s: float) -> Finished:
        patience = self._adb.patience
        script = program_script(self.folder, command, timeout_s=timeout_s, kill_after_s=patience.kill_after_s)
        started = time.monotonic()
        answer = self._shell(script, timeout_s=timeout_s + patience.kill_after_s + patience.call_s)
        ended = self._ended(answer, script, doing=command[0])
        if ended.exit_code is None:
            raise DeviceError(f"{self.name}: the run's folder {self.folder} has gone", hint="something on the phone removed it: try again")
        if ended.exit_code in _TIMED_OUT and time.monotonic() - started >= timeout_s:
            raise DeviceError(f"{self.name}: {command[0]} did not end within {timeout_s:g} s", hint="ask for fewer runs")
        if ended.exit_code in _NOT_STARTED:
            error = explain_start(answer.stderr.decode("utf-8", "replace"), phone=self.name, program=command[0])
            if error is not None:
                raise error
        return Finished(ended.exit_code, ended.stdout, answer.stderr)

    def pull(self, name: str) -> bytes:
        source = f"{self.folder}/{_checked_name(name)}"
        size, digest = self._described(source, name)
        with _temporary_folder() as folder:
            target = Path(folder) / "file"
            self._progress(f"copying {name} from {self.name}", 0, size)
            answer = self._adb.call(
                "pull", source, str(target), timeout_s=self._adb.patience.transfer(size), watch=lambda _: self._watch(target, name, size)
            )
            if answer.exit_code != 0:
                raise self._adb.error(answer.text, doing=f"reading {name}")
            arrived = _read_bounded(target, size)
        if arrived is None or hashlib.sha256(arrived).hexdigest() != digest:
            raise LinkError(f"{self.name}: {name} came back damaged", hint="measure again; use another cable or another USB port")
        self._progress(f"copying {name} from {self.name}", size, size)
        return arrived

    def close(self) -> None:
        """End what still runs, and remove the folder. It never fails: see `left_behind`."""
        if self._closed:
            return
        self._closed = True
        try:
            self._leave()
        finally:
            _open_folders.discard(self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        if self.left_behind is not None and isinstance(error, EdgeCompressError):
            error.hint = f"{error.hint}; {self.left_behind}" if error.hint else self.left_behind

    def _leave(self) -> None:
        """Remove the folder, and try again when the link was lost and came back."""
        for _ in range(_REMOVE_TRIES):
            try:
                self._remove([self.folder])
                return
            except EdgeCompressError as e:
                why = e.message
                if not (isinstance(e, LinkError) and wait_ready(self._adb)):
                    break
        self.left_behind = f"{self.folder} is still on the phone ({why}); the next measurement there removes it"

    def _remove(self, folders: Sequence[str]) -> None:
        ended = self._script(remove_folders_commands(folders), doing="cleaning up")
        if ended.exit_code != 0:
            raise DeviceError(f"{self.name}: {' '.join(folders)} cannot be removed", hint="remove it by hand: adb shell rm -rf FOLDER")

    def _arrived(self, target: str, mode: str, size: int) -> str:
        """The sha256 of what came, in lower-case hex; empty when there is no such file."""
        quoted = shlex.quote(target)
        ended = self._script(f"chmod {mode} {quoted} && sha256sum {quoted}", doing="checking a copy", size=size)
        return _sha256_of(ended.stdout) if ended.exit_code == 0 else ""

    def _described(self, source: str, name: str) -> tuple[int, str]:
        """Size and sha256 of a file on the phone.

        Raises:
            DeviceError: there is no such file, or it is larger than anything we ask for.
        """
        quoted = shlex.quote(source)
        ended = self._script(f"stat -c %s {quoted} && sha256sum {quoted}", doing="reading a file", size=MOST_PULL_BYTES)
        words = ended.stdout.split()
        if ended.exit_code != 0 or len(words) < 2 or not words[0].isdigit() or len(words[0]) > 15:
            raise DeviceError(f"{self.name}: there is no file {name}", hint="the program there did not write it: try again")
        if int(words[0]) > MOST_PULL_BYTES:
            raise DeviceError(f"{self.name}: {name} has {int(words[0]):,} bytes; {MOST_PULL_BYTES:,} are read at most", hint="try again")
        return int(words[0]), _sha256_of(words[1])

    def _watch(self, target: Path, name: str, size: int) -> None:
        """Report what has come; end a phone that sends more than it said."""
        try:
            arrived = target.stat().st_size
        except OSError:
            return
        if arrived > size:
            raise LinkError(f"{self.name}: {name} is longer than the phone said ({size:,} bytes)", hint="try again")
        self._progress(f"copying {name} from {self.name}", arrived, size)

    def _script(self, commands: str, *, doing: str, size: int = 0) -> Ended:
        """Run our own shell commands. Only the commands' exit code may be other than 0."""
        script = plain_script(commands)
        answer = self._shell(script, timeout_s=self._adb.patience.call_s + size / _HASHED_BYTES_PER_S)
        ended = self._ended(answer, script, doing=doing)
        text = answer.stderr.decode("utf-8", "replace")
        if ended.exit_code == _NOT_STARTED[1]:
            raise explain_start(text, phone=self.name, program=doing) or self._adb.error(text, doing=doing)
        if ended.exit_code != 0 and known(text):
            raise self._adb.error(text, doing=doing)
        return ended

    def _shell(self, script: Script, *, timeout_s: float) -> Answer:
        return self._adb.call("shell", "-T", "-n", script.text, timeout_s=timeout_s)

    def _ended(self, answer: Answer, script: Script, *, doing: str) -> Ended:
        """What a script gave.

        Raises:
            LinkError: its sentinel did not come.
        """
        ended = read_sentinel(answer.stdout, script)
        if ended is not None:
            return ended
        text = answer.stderr.decode("utf-8", "replace")
        if known(text):
            raise self._adb.error(text, doing=doing)
        raise LinkError(
            f"{self.name}: the link was lost before {doing} ended", hint="reconnect the phone, keep it awake, and measure again"
        )


def _computer_prefix() -> str:
    """How the names of all folders begin that this computer makes."""
    identity = f"{platform.node()} {uuid.getnode()}".encode()
    return f"edgecompress-{hashlib.sha256(identity).hexdigest()[:8]}-"


def _own_prefix() -> str:
    return f"{_computer_prefix()}{os.getpid()}-"


def _is_stale(name: str) -> bool:
    """Whether a folder's run is over: its process has ended, or is this one and has closed it."""
    match = re.fullmatch(rf"{_computer_prefix()}([0-9]{{1,10}})-[0-9a-f]{{8}}", name)
    if match is None or name in _open_folders:
        return False
    pid = int(match[1])
    return pid == os.getpid() or not _lives(pid)


def _lives(pid: int) -> bool:
    """Whether there is such a process; where that cannot be asked without harm, there is."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or not name.strip("."):
        raise ValueError(f"{name!r}: a plain file name is expected")
    return name


def _hash_file(source: Path) -> tuple[int, str]:
    """Size and sha256 of a file here."""
    try:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as e:
        raise UserError(f"{source}: cannot be read: {e.strerror}", hint="check the path") from e


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="edgecompress-pull-")
    except OSError as e:
        raise OutputError(f"{tempfile.gettempdir()}: cannot be written: {e.strerror}", hint="set TMPDIR to another folder") from e


def _percent(printed: bytes) -> int:
    """How far adb says a file has come: `[ 45%] /data/local/tmp/...`, the last one counts."""
    found = re.findall(rb"\[ *(\d{1,3})%\]", printed[-1000:])
    return min(int(found[-1]), 100) if found else 0


def _sha256_of(output: bytes) -> str:
    """The hash at the start of a line of sha256sum; empty when there is none."""
    found = re.match(rb"\\?([0-9a-f]{64})\b", output.lstrip())
    return found[1].decode() if found else ""


def _read_bounded(path: Path, size: int) -> bytes | None:
    """A file's bytes; None when it is not there or has another size."""
    try:
        with path.open("rb") as file:
            data = file.read(size + 1)
    except OSError:
        return None
    return data if len(data) == size else None
