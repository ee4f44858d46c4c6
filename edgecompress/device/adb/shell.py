"""Command lines for a phone's shell, and how to know that one ran to its end.

`adb shell` exits with 255 both when the program did and when the link was lost, so the last line of standard output is a sentinel with the
exit code. Its token is new for each command: nothing that a program prints can be taken for it.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

FOLDER = "/data/local/tmp"
"""Where adb may write and execute on every phone."""
# The shell's reply when the run's folder has gone.
_NO_FOLDER = "gone"


@dataclass(frozen=True)
class Script:
    """One command line for the phone, and the token of its sentinel."""

    text: str
    token: str


@dataclass(frozen=True)
class Ended:
    """A script that ran to its end. `exit_code` is None when the run's folder was not there."""

    exit_code: int | None
    stdout: bytes


def program_script(folder: str, command: Sequence[str], *, timeout_s: float, kill_after_s: float) -> Script:
    """Run a program inside a folder, ended on the phone after `timeout_s`: the host's adb may be gone by then.

    A program that takes that long exits with 124, or `kill_after_s` later with 137 when it ignores the first signal.
    """
    words = shlex.join(command)
    token = _new_token()
    enter = f"cd {shlex.quote(folder)} || {{ echo; echo {token}={_NO_FOLDER}; exit 1; }}"
    run = f"(exec timeout -k {kill_after_s:.10g} {timeout_s:.10g} {words})"
    return Script(f"{enter}; {run}; code=$?; echo; echo {token}=$code", token)


def plain_script(commands: str) -> Script:
    """Shell commands; the exit code is the last one's."""
    token = _new_token()
    return Script(f"({commands}); code=$?; echo; echo {token}=$code", token)


def make_folder_commands(folder: str, *, siblings: str) -> str:
    """Make the run's folder, and list the folders of FOLDER that match a pattern."""
    return f"mkdir {shlex.quote(folder)} && cd {FOLDER} && ls -d {siblings}"


def remove_folders_commands(folders: Sequence[str]) -> str:
    """End every process that works inside these folders, and remove them; fails when one is still there.

    Processes are found by their working directory: killing the host's adb, or toybox's timeout, leaves the program running.
    """
    return (
        "; ".join(_remove_commands(folder) for folder in folders) + "; for d in " + " ".join(folders) + "; do [ ! -e $d ] || exit 1; done"
    )


def _remove_commands(folder: str) -> str:
    pattern = f"s|.* /proc/\\([0-9]*\\)/cwd -> {folder}\\(/.*\\)*$|\\1|p"
    inside = f"$(ls -l /proc/[0-9]*/cwd 2>/dev/null | sed -n '{pattern}')"
    # What is being killed may write once more while the folder is removed.
    return f"for p in {inside}; do kill -9 $p; done; rm -rf {folder} 2>/dev/null || {{ sleep 1; rm -rf {folder}; }}"


def read_sentinel(stdout: bytes, script: Script) -> Ended | None:
    """What a script printed before its sentinel, and its exit code; None when the sentinel did not come."""
    found = re.search(rb"\r?\n%s=(\d{1,3}|%s)\r?\n\Z" % (script.token.encode(), _NO_FOLDER.encode()), stdout)
    if found is None:
        return None
    code = None if found[1] == _NO_FOLDER.encode() else int(found[1])
    return Ended(code, stdout[: found.start()])


def _new_token() -> str:
    return f"EC_EXIT_{secrets.token_hex(8)}"
