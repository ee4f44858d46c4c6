"""A board behind ssh with a fresh folder for this run.

Every command line is for a POSIX `sh`, whatever the user's own shell is, and ends with a line that no program prints by chance: where it
is missing, the link was lost, since ssh's 255 can be the program's own. A time limit is kept on the board (`timeout`), so that nothing
goes on there when the link breaks; files are compared by their SHA-256 after each push.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from edgecompress.device.remote import Finished
from edgecompress.device.ssh.address import parse_address
from edgecompress.device.ssh.complaints import last_line, starting_error, writing_error
from edgecompress.device.ssh.program import SshLink
from edgecompress.errors import DeviceError, EdgeCompressError, LinkError, OutputError

_CALL_S = 30.0
# A file may take this long: an old board on slow Wi-Fi gives some 100 kB/s.
_BYTES_PER_S = 100_000
# After the board's own limit: the end of `timeout` (it kills after 5 s more), and the way back.
_KILL_AFTER_S = 5
_GRACE_S = 20.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_FOLDER = re.compile(r"/[ -~]{1,200}")
_TOOLS = ("timeout", "sha256sum", "mktemp")
_RUNNING = ".running"
# What `timeout` ends with: by its first signal, and by its second.
_TIMED_OUT = (124, 137)
# What it ends with, and a line that begins with its name, when it cannot start the program.
_NOT_STARTED = (126, 127)


def open_ssh(address: str, *, options: Sequence[str] = ()) -> SshRemote:
    """A board with a fresh folder below its $TMPDIR, or /tmp.

    Args:
        address: `USER@HOST` or `USER@HOST:PORT`, or an alias of ssh's configuration.
        options: further words for ssh, such as `-F FILE` or `-i KEY`.

    Raises:
        TargetError: that is no address.
        ToolError: ssh is not installed.
        DeviceError, LinkError: the board is not there, refuses, or lacks a program that every Linux has.
    """
    link = SshLink(parse_address(address), options)
    try:
        return SshRemote(link, _make_folder(link))
    except BaseException:
        link.close()
        raise


class SshRemote:
    """One open board; see `remote.Remote`."""

    def __init__(self, link: SshLink, folder: str) -> None:
        self._link = link
        self._folder = folder
        self._open = True
        self.left_behind: str | None = None

    @property
    def name(self) -> str:
        return self._link.board

    @property
    def folder(self) -> str:
        return self._folder

    def push(self, source: Path, name: str, *, executable: bool = False) -> None:
        target = shlex.quote(self._path(name))
        mode = "755" if executable else "644"
        try:
            expected = _sha256(source)
            size = source.stat().st_size
            with source.open("rb") as data:
                script = f"cat > {target} && chmod {mode} {target} && sha256sum {target}"
                code, out, err = _shell(self._link, script, stdin_of=data, timeout_s=_CALL_S + size / _BYTES_PER_S)
        except OSError as e:
            raise OutputError(f"{source}: cannot be read: {e.strerror}", hint="check the file's name and rights") from e
        if code != 0:
            raise writing_error(self.name, name, err.decode("utf-8", "replace"))
        if out.split()[:1] != [expected.encode()]:
            raise LinkError(f"{self.name}: {name} ({size:,} bytes) arrived damaged", hint="try again; a cable or Wi-Fi may be bad")

    def run(self, command: Sequence[str], *, timeout_s: float) -> Finished:
        words = " ".join(shlex.quote(word) for word in command)
        limit = max(1, round(timeout_s))
        # In the background, so that `close` finds the number of `timeout`, which passes a signal on to the program.
        script = (
            f"cd {shlex.quote(self._folder)} || exit 97; timeout -k {_KILL_AFTER_S} {limit} {words} </dev/null & echo $! > {_RUNNING}; "
            f"wait $!; code=$?; rm -f {_RUNNING}; (exit $code)"
        )
        start = time.monotonic()
        code, out, err = _shell(self._link, script, timeout_s=limit + _KILL_AFTER_S + _GRACE_S)
        # A program that was killed for its memory ends with 137 as well, but before its time.
        if code in _TIMED_OUT and time.monotonic() - start >= limit - 0.5:
            raise DeviceError(f"{self.name}: {command[0]} did not end within {limit} s", hint="ask for fewer runs")
        said = err.decode("utf-8", "replace")
        if code in _NOT_STARTED and "timeout: " in said:
            raise starting_error(self.name, command[0].removeprefix("./"), code, said)
        return Finished(code, out, err)

    def pull(self, name: str) -> bytes:
        path = shlex.quote(self._path(name))
        code, out, err = _shell(self._link, f"cat {path}", timeout_s=10 * _CALL_S)
        if code != 0:
            said = last_line(err.decode("utf-8", "replace"))
            raise DeviceError(f"{self.name}: {name} cannot be read back: {said}", hint="measure again")
        return out

    def close(self) -> None:
        """End what still runs, and remove the folder; a board that is gone keeps it until it clears its temporary files."""
        if not self._open:
            return
        self._open = False
        folder = shlex.quote(self._folder)
        script = f"cd {folder} && if [ -f {_RUNNING} ]; then kill $(cat {_RUNNING}); sleep 1; fi; cd / && rm -rf {folder}"
        try:
            _shell(self._link, script, timeout_s=_CALL_S)
        except EdgeCompressError as e:
            # What was measured, or the error that is on its way, says more.
            self.left_behind = f"{self._folder} is still on {self.name} ({e.message})"
        finally:
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        if self.left_behind is not None and isinstance(error, EdgeCompressError):
            error.hint = f"{error.hint}; {self.left_behind}" if error.hint else self.left_behind

    def _path(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise DeviceError(f"{name!r} is no plain file name", hint="use letters, digits, dots, dashes and underscores")
        return f"{self._folder}/{name}"


def _make_folder(link: SshLink) -> str:
    checks = "; ".join(f"command -v {tool} >/dev/null || echo EC_LACKS={tool}" for tool in _TOOLS)
    folder = '"$(mktemp -d "${TMPDIR:-/tmp}/edgecompress-XXXXXXXX")"'
    script = f"{checks}; timeout -k 1 5 true || echo EC_LACKS=timeout; echo EC_FOLDER={folder}"
    _, out, err = _shell(link, script, timeout_s=_CALL_S)
    text = out.decode("utf-8", "replace")
    lacks = re.search(r"^EC_LACKS=(\w+)$", text, re.MULTILINE)
    if lacks:
        raise DeviceError(f"{link.board} has no usable {lacks[1]}", hint="install coreutils there (busybox 1.30 or newer does as well)")
    found = re.search(r"^EC_FOLDER=(.+)$", text, re.MULTILINE)
    if found is None or not _FOLDER.fullmatch(found[1]):
        raise writing_error(link.board, "a folder for this run", err.decode("utf-8", "replace"))
    return found[1]


def _shell(link: SshLink, script: str, *, timeout_s: float, stdin_of: IO[bytes] | None = None) -> tuple[int, bytes, bytes]:
    """Give a script to the board's `sh`: its exit code, standard output and standard error.

    Raises:
        LinkError: the closing line did not come.
    """
    mark = secrets.token_hex(8)
    # A user's profile may print before the first line is ours.
    whole = f"printf 'EC_BEGIN_{mark}\\n'; ({script}); printf '\\nEC_EXIT_{mark}=%d\\n' $?"
    done = link.call(f"exec sh -c {shlex.quote(whole)}", stdin=stdin_of, timeout_s=timeout_s)
    begin = done.stdout.find(f"EC_BEGIN_{mark}\n".encode())
    end = re.search(rb"\nEC_EXIT_%s=(\d{1,3})\n\Z" % mark.encode(), done.stdout)
    if begin < 0 or end is None:
        raise link.lost(done.stderr)
    return int(end[1]), done.stdout[begin + len(f"EC_BEGIN_{mark}\n") : end.start()], done.stderr


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
