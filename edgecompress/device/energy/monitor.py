"""What every instrument can do: feed a board, or stand in its supply, and measure while work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Protocol, Self

from edgecompress.device.energy.window import Window
from edgecompress.errors import DeviceError, EdgeCompressError, ToolError

SETTLE_S = 0.2
"""Samples go on for so long before and after the work, so that both pulses are among them."""


@dataclass(frozen=True)
class Reading:
    """One measurement; `instrument` names the one that took it."""

    window: Window
    sampling_hz: float
    instrument: str


class EnergyMonitor(Protocol):
    """An open instrument; the board has its supply from here on. It is a context manager."""

    def measure(self, work: Callable[[], None]) -> Reading:
        """Measure while `work` makes the board pulse its energy pin twice.

        Raises:
            DeviceError: the instrument failed, or no two pulses were seen.
        """
        ...

    def close(self) -> None:
        """Let the instrument go; the board keeps its supply. May be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def import_package(name: str, extra: str) -> ModuleType:
    """An instrument's own Python package.

    Raises:
        ToolError: it is not installed, or cannot be loaded.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise ToolError(
            f"the Python package {name.partition('.')[0]} cannot be loaded: {e}", hint=f"pip install 'edgecompress[{extra}]'"
        ) from e


@contextmanager
def instrument_errors(name: str) -> Iterator[None]:
    """What an instrument's package raises, as ours. Such packages raise whatever comes; their text is all that is known."""
    try:
        yield
    except EdgeCompressError:
        raise
    except Exception as e:
        raise DeviceError(
            f"{name}: {type(e).__name__}: {str(e)[:200]}", hint="unplug the instrument, plug it in again, and try once more"
        ) from e
