"""Ctrl-C and SIGTERM as exceptions, so that temporary files and child processes are cleaned up on the way out.

Python drops an exception that a signal raises inside a destructor or a callback of native code, and TensorFlow runs much in both. What was
raised is therefore remembered, and `raise_lost` raises it again where the work goes on: whoever shows progress calls it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

TERMINATED = 143

_raised: list[int] = []


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGINT as KeyboardInterrupt, unless it is ignored as below nohup, and SIGTERM as SystemExit with TERMINATED."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        heard.append(signal.SIGINT)
    before = {number: signal.signal(number, _on_signal) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _raised.clear()


def raise_lost() -> None:
    """Raise again what a signal raised and nobody heard."""
    if _raised and threading.current_thread() is threading.main_thread():
        _raise(_raised[-1])


def _on_signal(number: int, frame: FrameType | None) -> NoReturn:
    _raised.append(number)
    _raise(number)


def _raise(number: int) -> NoReturn:
    raise SystemExit(TERMINATED) if number == signal.SIGTERM else KeyboardInterrupt
