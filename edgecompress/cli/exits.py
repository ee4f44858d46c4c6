"""The one place where failures become exit codes.

    0    done
    1    a bug of ours: traceback
    2    what was asked cannot be done as asked, or a program that we started failed (UserError, ToolError, wrong options)
    3    it does not fit, or a gate's limit is broken (BudgetError)
    4    device or link (DeviceError)
    5    bytes differ that must agree (MismatchError)
    130  interrupted with Ctrl-C; 143 ended by SIGTERM; 141 the reader of our output closed it, as for any program in a pipe

An expected failure is one sentence and a hint on stderr. ToolError counts as 2: a tool fails on what it was given, or is not installed.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

from edgecompress.cli.interrupts import TERMINATED, signals_as_exceptions
from edgecompress.cli.quiet import without_chatter
from edgecompress.cli.text import paint, printable
from edgecompress.errors import BudgetError, DeviceError, EdgeCompressError, MismatchError

OK, USER, BUDGET, DEVICE, MISMATCH = 0, 2, 3, 4, 5
INTERRUPTED, CLOSED_PIPE = 130, 141

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def exit_code_of(error: EdgeCompressError) -> int:
    """The exit code that stands for an expected failure."""
    if isinstance(error, BudgetError):
        return BUDGET
    if isinstance(error, DeviceError):
        return DEVICE
    if isinstance(error, MismatchError):
        return MISMATCH
    return USER


def run_command(command: click.Command, arguments: Sequence[str] | None) -> int:
    """Run a click command line and return its exit code; expected failures are told on stderr, bugs pass through as exceptions."""
    _prepare_process()
    try:
        with signals_as_exceptions(), without_chatter():
            result = command.main(args=None if arguments is None else list(arguments), prog_name="edgecompress", standalone_mode=False)
            sys.stdout.flush()
    except EdgeCompressError as e:
        _tell(e.message, e.hint)
        return exit_code_of(e)
    except click.exceptions.NoArgsIsHelpError as e:
        e.show()
        return USER
    except click.ClickException as e:
        _tell(e.format_message(), _usage_hint(e))
        return USER
    except (click.Abort, KeyboardInterrupt):
        _tell("interrupted", "nothing half-written was left behind")
        return INTERRUPTED
    except SystemExit as e:
        return _after_exit(e)
    except OSError as e:
        return _after_os_error(e)
    # Commands return nothing; an int is what click's own --help and --version leave with.
    return result if isinstance(result, int) else OK


def _prepare_process() -> None:
    # What TensorFlow logs about its own start is not ours to show; whoever wants it sets the variable.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # A process can be started without these streams; Python then has None there.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    # Names in model files can hold any character; a terminal that cannot show one gets its escape instead of a crash.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _after_exit(error: SystemExit) -> int:
    if error.code == TERMINATED:
        return TERMINATED
    if _reader_is_gone():
        return _leave_quietly()
    return error.code if isinstance(error.code, int) else USER


def _after_os_error(error: OSError) -> int:
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        return _leave_quietly()
    if error.errno in _FULL:
        _discard_stdout()
        _tell(f"{error.filename or 'standard output'}: cannot be written: {error.strerror}", "free some space, or write elsewhere")
        return USER
    raise error


def _reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads any more (a broken link to a device is another matter)."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    except (OSError, ValueError):
        return False


def _leave_quietly() -> int:
    _discard_stdout()
    return CLOSED_PIPE


def _discard_stdout() -> None:
    # What is still buffered would fail again when the interpreter closes the stream.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _usage_hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"see {context.command_path if context else 'edgecompress'} --help"


def _tell(message: str, hint: str) -> None:
    try:
        print(paint("error:", "1;31"), printable(message), file=sys.stderr)
        if hint:
            print(paint("hint:", "1;36"), printable(hint), file=sys.stderr)
        sys.stderr.flush()
    except OSError:
        # Nobody can read stderr; the exit code still tells.
        return
