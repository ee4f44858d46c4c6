"""The ssh program: one process holds the connection (the master), and each call is another that goes through it.

The master is our own child, not one that ssh leaves in the background: it ends when we do. Its socket lies in a private folder. Passwords
are never asked for (BatchMode), a host key must be known, and a silent board counts as lost after some 15 s.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from edgecompress.device.ssh.address import Address
from edgecompress.device.ssh.complaints import connection_error
from edgecompress.errors import LinkError, OutputError, ToolError

CONNECT_TIMEOUT_S = 10
_MASTER_TIMEOUT_S = 40.0
_END_TIMEOUT_S = 5.0
_POLL_S = 0.05
# Of one call's standard output and standard error, each; a program there that prints more is not one of ours.
MOST_OUTPUT_BYTES = 64 << 20
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECT_TIMEOUT_S),
    "ConnectionAttempts": "1",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "LogLevel": "ERROR",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "ControlPersist": "no",
}


def find_ssh() -> str:
    """The ssh program: what $EDGECOMPRESS_SSH names, else the one on PATH.

    Raises:
        ToolError: there is none.
    """
    named = os.environ.get("EDGECOMPRESS_SSH")
    found = shutil.which(named or "ssh")
    if found is None:
        raise ToolError(
            f"the ssh program ({named or 'ssh'}) is not there",
            hint="install it (Debian: apt-get install openssh-client), or set EDGECOMPRESS_SSH to the program's path",
        )
    return found


class SshLink:
    """A connection to one board."""

    def __init__(self, address: Address, options: Sequence[str] = ()) -> None:
        """Connect.

        Args:
            options: further words for ssh, such as `-F FILE` or `-i KEY`.

        Raises:
            ToolError: ssh is not installed.
            DeviceError, LinkError: the board is not there, or refuses.
        """
        self.board = f"ssh:{address.login}" + ("" if address.port is None else f":{address.port}")
        self._login = address.login
        port = [] if address.port is None else ["-p", str(address.port)]
        settings = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="ec-ssh-"))
        except OSError as e:
            raise OutputError(f"{tempfile.gettempdir()}: cannot be written: {e.strerror}", hint="set TMPDIR to another folder") from e
        self._words = [*options, *settings, "-S", str(self._folder / "s"), *port]
        self._master: subprocess.Popen[bytes] | None = None
        try:
            self._program = find_ssh()
            self._connect()
        except BaseException:
            self.close()
            raise

    def call(self, script: str, *, stdin: IO[bytes] | None = None, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
        """Give a line to the board's shell.

        Raises:
            LinkError: no end within timeout_s, or more output than anything of ours prints.
            ToolError: ssh cannot be started.
        """
        command = [self._program, *self._words, "-o", "ControlMaster=no", self._login, script]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                code = self._wait(command, stdin, out, err, timeout_s)
            except OSError as e:
                raise ToolError(f"{self._program}: cannot be started: {e.strerror}", hint="install openssh-client") from e
            return subprocess.CompletedProcess(command, code, self._read(out), self._read(err))

    def lost(self, said: bytes) -> LinkError:
        """The error of a call that ended without an answer; `said` is its standard error."""
        text = said.decode("utf-8", "replace") + "\n" + self._master_said()
        error = connection_error(self.board, self._login, text)
        return error if isinstance(error, LinkError) else LinkError(error.message, hint=error.hint)

    def close(self) -> None:
        """End the connection. May be called twice."""
        master, self._master = self._master, None
        if master is not None:
            master.terminate()
            try:
                master.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                master.kill()
                master.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self) -> None:
        command = [self._program, *self._words, "-M", "-N", self._login]
        try:
            with (self._folder / "said").open("wb") as said:
                # A session of its own: Ctrl-C in the terminal reaches us alone, and we can still clean up through the connection.
                self._master = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
                )
        except OSError as e:
            raise ToolError(f"{self._program}: cannot be started: {e.strerror}", hint="install openssh-client") from e
        end = time.monotonic() + _MASTER_TIMEOUT_S
        while not (self._folder / "s").exists():
            if self._master.poll() is not None:
                raise connection_error(self.board, self._login, self._master_said())
            if time.monotonic() > end:
                raise LinkError(
                    f"{self.board}: no connection within {_MASTER_TIMEOUT_S:.0f} s", hint=f"try it by hand: ssh {self._login} true"
                )
            time.sleep(_POLL_S)

    def _wait(self, command: Sequence[str], stdin: IO[bytes] | None, out: IO[bytes], err: IO[bytes], timeout_s: float) -> int:
        process = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired as e:
            raise LinkError(
                f"{self.board}: no answer within {timeout_s:.0f} s", hint="check the network and that the board is not overloaded"
            ) from e
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _read(self, stream: IO[bytes]) -> bytes:
        if stream.seek(0, os.SEEK_END) > MOST_OUTPUT_BYTES:
            raise LinkError(f"{self.board}: more than {MOST_OUTPUT_BYTES >> 20} MiB came back from one command", hint="try again")
        stream.seek(0)
        return stream.read()

    def _master_said(self) -> str:
        with contextlib.suppress(OSError):
            return (self._folder / "said").read_bytes()[-10_000:].decode("utf-8", "replace")
        return ""
