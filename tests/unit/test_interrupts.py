"""Ctrl-C and SIGTERM end a command, also where a library drops the exception."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from edgecompress.cli.console import ProgressDisplay
from edgecompress.cli.interrupts import TERMINATED, signals_as_exceptions


@pytest.mark.parametrize(("number", "ending"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_what_a_library_drops_is_raised_at_the_next_step(number, ending):
    """Work that goes on after the exception ends at its next word of progress."""
    before = [signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)]
    try:
        with ProgressDisplay() as progress:
            with signals_as_exceptions():
                progress("train", 0, 2)
                with suppress(KeyboardInterrupt, SystemExit):
                    signal.raise_signal(number)
                with pytest.raises(ending) as raised:
                    progress("train", 1, 2)
            assert ending is KeyboardInterrupt or raised.value.code == TERMINATED
            progress("the next command", 0, 1)
        assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == [signal.default_int_handler, before[1]]
    finally:
        signal.signal(signal.SIGINT, before[0])


def test_an_ignored_ctrl_c_stays_ignored():
    """Below nohup a command goes on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals_as_exceptions():
            signal.raise_signal(signal.SIGINT)
            ProgressDisplay()("train", 0, 1)
    finally:
        signal.signal(signal.SIGINT, before)
