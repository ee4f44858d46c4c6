"""What a band does, in order: rows come back from where they were kept, new ones are computed, and the last ones are kept again.

`check` plays these actions and `emit` prints them, so what is proved is what is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgecompress.codegen.stream.block import Block, Window
from edgecompress.codegen.stream.schedule import Band


@dataclass(frozen=True)
class Restore:
    """Kept rows go to the front of their window."""

    window: Window
    rows: range


@dataclass(frozen=True)
class Bring:
    """The application writes these rows of the input into its window."""

    window: Window
    rows: range


@dataclass(frozen=True)
class Compute:
    """Call number `call` of the chain computes its new rows."""

    call: int


@dataclass(frozen=True)
class Keep:
    """The last rows of a window go to where they are kept, or to its front."""

    window: Window
    rows: range


Action = Restore | Bring | Compute | Keep


def actions(block: Block, band: Band) -> Iterator[Action]:
    """The band from its first action to its last."""
    windows = [w for w in block.windows.values() if _is_active(w, band)]
    for call in range(-1, len(block.chain.calls)):
        for window in windows:
            rows = band.tensors[window.tensor].carried
            if window.first == call and rows and window.kept_offset is not None:
                yield Restore(window, rows)
        yield from _work(block, band, call)
        for window in windows:
            rows = band.tensors[window.tensor].kept
            stays = window.kept_offset is None and rows.start == band.tensors[window.tensor].held.start
            if window.last == call and rows and not stays:
                yield Keep(window, rows)


def window_place(window: Window, band: Band, row: int) -> int:
    """Where a row lies in its window, in bytes from the window's start."""
    return (row - band.tensors[window.tensor].held.start) * window.row_bytes


def _work(block: Block, band: Band, call: int) -> Iterator[Action]:
    source = block.chain.source
    if call < 0:
        if block.calls_for_rows and band.tensors[source].new:
            yield Bring(block.windows[source], band.tensors[source].new)
    elif band.tensors[block.chain.calls[call].output].new:
        yield Compute(call)


def _is_active(window: Window, band: Band) -> bool:
    """Whether the band writes or reads the window; else its rows stay kept."""
    return bool(band.tensors[window.tensor].new) or any(reads.get(window.tensor) for reads in band.reads)
