"""Cells and rows: which numbers may be divided by each other, and which one is the best.

A ratio stands only between numbers of one unit: instructions are never divided by microseconds, nor ranked with them. What is not known is
an empty cell, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from edgecompress.units import format_count

LONGEST_TEXT = 200
"""Characters of a word out of a profile: a longer one is damage or a joke, and ends in an ellipsis."""
_COMPUTED = ("=", "+", "-", "@", "\t", "\r", "\n")


class Better(Enum):
    """Which of two numbers is the better one."""

    LESS = "less"
    MORE = "more"


@dataclass(frozen=True)
class Cell:
    """One fact of one profile.

    Attributes:
        text: as shown; empty when unknown.
        value: the number behind it, in `unit`; None when unknown or not a number.
        unit: two values compare only when their units are equal.
        ratio: value / the baseline's value, where both are known, of one unit, and the baseline's is not zero.
        points: instead of a ratio, of fractions such as an accuracy: 100 * (value - the baseline's value).
        best: whether no other cell of its row and unit is better, and one is worse.
    """

    text: str
    value: float | None = None
    unit: str = ""
    ratio: float | None = None
    points: float | None = None
    best: bool = False

    @property
    def shown(self) -> str:
        """The text with its ratio or difference: `29.86 M  (0.45x)`, `0.9718  (-0.4 points)`."""
        if self.ratio is not None:
            return f"{self.text}  ({format_ratio(self.ratio)})"
        return self.text if self.points is None else f"{self.text}  ({self.points:+.2f} points)"


@dataclass(frozen=True)
class Row:
    """One fact over all profiles; as many cells as profiles. `better` is None where neither less nor more is."""

    metric: str
    cells: tuple[Cell, ...]
    better: Better | None = None

    @property
    def known(self) -> bool:
        return any(cell.text for cell in self.cells)


@dataclass(frozen=True)
class Comparison:
    """The table of `compare`: names of the columns, then rows; a fact that no profile knows has no row.

    `baseline` is the column that ratios refer to, from 0; None where each row's refer to the first column that has a number in it.
    """

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    baseline: int | None = None


def with_ratios(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells with ratios against the first one that has a number."""
    base = next((index for index, cell in enumerate(cells) if cell.value is not None), 0)
    return with_ratios_to(cells, base)


def with_ratios_to(cells: Sequence[Cell], baseline: int) -> tuple[Cell, ...]:
    """The cells with ratios against the one at `baseline`; none where that has no number."""
    return tuple(cell if index == baseline else against(cells[baseline], cell) for index, cell in enumerate(cells))


def with_points_to(cells: Sequence[Cell], baseline: int) -> tuple[Cell, ...]:
    """The cells with differences in percentage points against the one at `baseline`."""
    base = cells[baseline]
    return tuple(
        replace(cell, points=100 * (cell.value - base.value))
        if index != baseline and cell.value is not None and base.value is not None and cell.unit == base.unit
        else cell
        for index, cell in enumerate(cells)
    )


def with_best(cells: Sequence[Cell], better: Better) -> tuple[Cell, ...]:
    """The cells with the best of each unit marked.

    Equals are all marked. Where a unit has one number, or all its numbers are equal, none is better than another, and none is marked.
    """
    values: dict[str, list[float]] = {}
    for cell in cells:
        if cell.value is not None:
            values.setdefault(cell.unit, []).append(cell.value)
    pick = min if better is Better.LESS else max
    winners = {unit: pick(numbers) for unit, numbers in values.items() if min(numbers) != max(numbers)}
    return tuple(replace(cell, best=True) if cell.value is not None and winners.get(cell.unit) == cell.value else cell for cell in cells)


def against(base: Cell, cell: Cell) -> Cell:
    """The cell with its ratio to `base`, where both are numbers of one unit and the base is not zero."""
    if base.value is None or cell.value is None or base.value == 0 or base.unit != cell.unit:
        return cell
    ratio = cell.value / base.value
    return replace(cell, ratio=ratio) if math.isfinite(ratio) else cell


def format_ratio(ratio: float) -> str:
    """Three significant digits at least where it matters: `0.45x`, `1.00x`, `12.3x`, `0.0042x`."""
    if ratio == 0 or abs(ratio) >= 0.1:
        return f"{ratio:.2f}x" if abs(ratio) < 10 else f"{ratio:,.1f}x"
    return f"{ratio:.2g}x"


def format_latency(latency: float | None, unit: str) -> str:
    """Latency with its unit: `29.86 M instructions`, `812 us`, `1,234 us`; nothing where it is unknown."""
    if latency is None:
        return ""
    if unit == "us":
        return f"{latency:,.1f} us" if latency < 100 else f"{latency:,.0f} us"
    return f"{format_count(latency)} {unit}"


def one_line(text: str) -> str:
    """A word out of a profile for a table: characters that would break the line or drive a terminal are written as `\\x1b`."""
    clipped = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    return clipped if clipped.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in clipped)


def defused(text: str) -> str:
    """Text for a cell of CSV: one that a spreadsheet would compute (`=HYPERLINK(...)`) begins with an apostrophe, and so stays text.

    The beginnings are those of https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text.startswith(_COMPUTED) else text


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
