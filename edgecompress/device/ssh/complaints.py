"""What ssh and a board's shell say when something is wrong, and what a person can do about it.

Each line of the tables is a pattern over the text (the first that matches wins), what it means, and the next step. ssh's texts were read
from OpenSSH 9.2; its exit code says nothing beyond 255.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.errors import DeviceError, LinkError

# Text from the board that a message repeats.
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class _Complaint:
    pattern: str
    kind: type[DeviceError]
    message: str
    hint: str


_FIRST_LOGIN = "log in once by hand and compare the key's fingerprint: ssh {login}"

_CONNECTING = (
    _Complaint(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        DeviceError,
        "{board} shows another host key than the one that is known",
        "if the board was installed again, forget the old key (ssh-keygen -R HOST) and log in once by hand: ssh {login}",
    ),
    _Complaint(r"Host key verification failed|No .* host key is known", DeviceError, "{board}'s host key is not known here", _FIRST_LOGIN),
    _Complaint(
        r"Permission denied|Too many authentication failures|No supported authentication",
        DeviceError,
        "{board} refused this user or key (no password is asked for)",
        "put your key there (ssh-copy-id {login}), and unlock it with ssh-add if it has a passphrase",
    ),
    _Complaint(
        r"Could not resolve hostname|Name or service not known|nodename nor servname",
        DeviceError,
        "there is no machine of the name of {board}",
        "check the name, or give the board's IP address",
    ),
    _Complaint(
        r"Connection refused",
        DeviceError,
        "{board} takes no ssh connections on this port",
        "start its ssh server (Raspberry Pi: raspi-config, Interface Options, SSH), or name the port: ssh:USER@HOST:PORT",
    ),
    _Complaint(
        r"No route to host|Network is unreachable|Host is down",
        DeviceError,
        "there is no way to {board} from here",
        "check that the board is on, and on the same network",
    ),
    _Complaint(r"timed out|Timeout, server", LinkError, "{board} does not answer", "check that the board is on, and on the same network"),
    _Complaint(
        r"Bad configuration option|no argument after keyword|Bad owner or permissions",
        DeviceError,
        "ssh refuses its own configuration: {last}",
        "repair the file that it names",
    ),
    _Complaint(
        r"kex_exchange_identification|Connection closed|Connection reset|Broken pipe|banner", LinkError, "{board} hung up", "try again"
    ),
)

_WRITING = (
    _Complaint(
        r"No space left", DeviceError, "{board} has no space left", "free some there, or set TMPDIR for that user to another folder"
    ),
    _Complaint(r"Disk quota exceeded", DeviceError, "{board}: that user's disk quota is used up", "free some space there"),
    _Complaint(r"Read-only file system", DeviceError, "{board}: its folder for temporary files is read-only", "set TMPDIR for that user"),
    _Complaint(r"Permission denied", DeviceError, "{board}: that user may not write to its folder for temporary files", "set TMPDIR there"),
)

_STARTING = (
    _Complaint(
        r"Exec format error|cannot execute binary file",
        DeviceError,
        "{program} is built for another processor than {board}'s",
        "give a program that is built for it (uname -m there says which)",
    ),
    _Complaint(
        r"Permission denied",
        DeviceError,
        "{board} does not let {program} be executed",
        "its folder for temporary files may be mounted noexec: set TMPDIR for that user to another folder",
    ),
)


def connection_error(board: str, login: str, said: str) -> DeviceError:
    """Why there is no connection, from ssh's standard error."""
    last = last_line(said)
    found = _first(_CONNECTING, said) or _Complaint(
        "", LinkError, "{board}: the connection was lost: {last}", "check the network, and try again"
    )
    return found.kind(found.message.format(board=board, last=last or "ssh said nothing"), hint=found.hint.format(login=login))


def writing_error(board: str, name: str, said: str) -> DeviceError:
    """Why a file cannot be written there."""
    found = _first(_WRITING, said)
    if found is None:
        return DeviceError(f"{board}: {name} cannot be written: {last_line(said) or 'no reason was given'}", hint="try again")
    return found.kind(found.message.format(board=board), hint=found.hint)


def starting_error(board: str, program: str, exit_code: int, said: str) -> DeviceError:
    """Why a program cannot be started there (126), or is not there at all (127)."""
    if exit_code == 127:
        return DeviceError(f"{board} has no program {program}: {last_line(said)}", hint="install it there, or name another")
    found = _first(_STARTING, said)
    if found is None:
        return DeviceError(f"{board}: {program} cannot be started: {last_line(said)}", hint="start it there by hand to see why")
    return found.kind(found.message.format(board=board, program=program), hint=found.hint)


def last_line(said: str) -> str:
    """The last line with words in it, made short and printable."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return "".join(c if c.isprintable() else "?" for c in lines[-1])[:_SHOWN_CHARACTERS] if lines else ""


def _first(table: tuple[_Complaint, ...], said: str) -> _Complaint | None:
    return next((row for row in table if re.search(row.pattern, said, re.IGNORECASE)), None)
