"""A comparison on a terminal or in a pipe.

A few profiles are columns, in one table or in several where they do not fit beside each other. On a terminal too narrow for two columns,
each fact is a heading with a line a profile. Many profiles are a line each, with the facts that fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgecompress.report.compare.cells import Better, Cell, Comparison, Row, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MOST_COLUMNS = 8
"""More profiles than these are lines: nobody compares a ninth column with the first."""
BEST_MARK = "*"

_CELL_WIDTH = 36
"""Columns of a cell: the longest number with its mark, unit and ratio (`* 999.99 M instructions  (1,000.0x)`); longer words go on over
lines."""
_NAME_WIDTH = 40
_GAP = "  "
LINE_FACTS = (
    "target",
    "model",
    "engine",
    "measured",
    "latency p50",
    "  mean",
    "flash",
    "arena",
    "stack",
    "accuracy",
    "energy",
    "parity",
    "doubt",
)
"""Facts of a line, as they stand beside each other."""
_FIRST_FACTS = (
    "latency p50",
    "flash",
    "arena",
    "target",
    "accuracy",
    "  mean",
    "engine",
    "model",
    "measured",
    "stack",
    "energy",
    "parity",
    "doubt",
)
"""The same in the order in which they are given room."""


_HEADING_UNITS = {"instructions", "us", "uJ", "B"}


def show(comparison: Comparison, console: Console) -> None:
    """Print the comparison and, where something is marked or divided, what that means. No number is ever cut."""
    if len(comparison.names) > MOST_COLUMNS:
        _print_lines(comparison, console)
    else:
        _print_columns(comparison, console)
    note = legend(comparison)
    if note:
        console.print()
        console.print(note)


def legend(comparison: Comparison, best: str = BEST_MARK) -> str:
    """What marks and ratios mean: `* best of its fact, among numbers of one unit; ratios are against m4`; empty where there are none."""
    cells = [cell for row in comparison.rows for cell in row.cells]
    parts = [f"{best} best of its fact, among numbers of one unit"] if any(cell.best for cell in cells) else []
    if comparison.baseline is not None and any(cell.ratio is not None or cell.points is not None for cell in cells):
        parts.append(f"ratios are against {one_line(comparison.names[comparison.baseline])}")
    return "; ".join(parts)


def marked(cell: Cell) -> str:
    """The cell as a terminal shows it: `* 29.86 M  (0.45x)` where it is the best."""
    return f"{BEST_MARK} {cell.shown}" if cell.best else cell.shown


def _print_columns(comparison: Comparison, console: Console) -> None:
    from rich.console import Console
    from rich.measure import Measurement

    measuring = Console(width=10_000)

    def fits(columns: Sequence[int]) -> bool:
        table = _table(comparison, columns)
        return Measurement.get(measuring, measuring.options, table).maximum <= console.width

    groups = _split(len(comparison.names), comparison.baseline or 0, fits)
    if any(len(group) == 2 and not fits(group) for group in groups):
        _print_stacked(comparison, console)
        return
    for index, columns in enumerate(groups):
        if index:
            console.print()
        console.print(_table(comparison, columns))


def _split(count: int, baseline: int, fits: Callable[[Sequence[int]], bool]) -> list[list[int]]:
    """Columns of each table: all where they fit, else the baseline and as many of the others as fit, at least one."""
    if count == 1 or fits(range(count)):
        return [list(range(count))]
    groups: list[list[int]] = []
    for column in range(count):
        if column == baseline:
            continue
        if groups and fits([*groups[-1], column]):
            groups[-1].append(column)
        else:
            groups.append([baseline, column])
    return groups


def _table(comparison: Comparison, columns: Sequence[int]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(Text(one_line(comparison.names[column]), overflow="fold"), justify="right", overflow="fold", max_width=_CELL_WIDTH)
    for row in comparison.rows:
        shown = [row.cells[column] for column in columns]
        table.add_row(row.metric, *(Text(marked(cell), "bold green" if cell.best else "", overflow="fold") for cell in shown))
    return table


def _print_stacked(comparison: Comparison, console: Console) -> None:
    from rich.text import Text

    names = [one_line(name) for name in comparison.names]
    longest = max(len(name) for name in names)
    width = min(longest, max(console.width // 3, 1))
    for row in comparison.rows:
        console.print(Text(row.metric, "bold", overflow="fold"))
        for name, cell in zip(names, row.cells, strict=True):
            if cell.text:
                line = f"  {name.ljust(width)} {BEST_MARK if cell.best else ' '} {cell.shown}"
                console.print(Text(line, "bold green" if cell.best else "", overflow="fold"))


def _print_lines(comparison: Comparison, console: Console) -> None:
    """One line a profile; what is the same for all is said once above, and what does not fit is named below."""
    rows = {row.metric: row for row in comparison.rows if row.metric in LINE_FACTS}
    shared = {metric: row for metric, row in rows.items() if _is_shared(row)}
    names = _Column("profile", [one_line(name) for name in comparison.names], is_number=False)
    columns = {metric: _column_of(row) for metric, row in rows.items() if metric not in shared}
    chosen = _chosen(names, columns, console.width)
    for metric, row in shared.items():
        _print_words(console, f"{metric.strip()}: {row.cells[0].text}")
    if shared:
        console.print()
    for line in _lines([names, *(columns[metric] for metric in LINE_FACTS if metric in chosen)], console.width):
        console.out(line, highlight=False)
    left_out = [metric.strip() for metric in LINE_FACTS if metric in columns and metric not in chosen]
    if left_out:
        console.print()
        _print_words(console, f"no room for {', '.join(left_out)}; --format csv has every fact")


def _print_words(console: Console, words: str) -> None:
    from rich.text import Text

    console.print(Text(words, overflow="fold"))


class _Column:
    """A heading with the unit below it, and texts, with the room that they take."""

    def __init__(self, heading: str, texts: Sequence[str], *, is_number: bool, unit: str = "") -> None:
        from rich.cells import cell_len

        self.headings, self.texts, self.is_number = (heading, unit), texts, is_number
        self.lengths = [cell_len(text) for text in texts]
        self.width = max(len(heading), len(unit), *self.lengths)

    def padded(self, index: int, width: int) -> str:
        room = " " * (width - self.lengths[index])
        return room + self.texts[index] if self.is_number else self.texts[index] + room

    def padded_heading(self, line: int, width: int) -> str:
        return self.headings[line].rjust(width) if self.is_number else self.headings[line].ljust(width)


def _is_shared(row: Row) -> bool:
    first = row.cells[0]
    return first.value is None and bool(first.text) and all(cell.text == first.text for cell in row.cells)


def _column_of(row: Row) -> _Column:
    """The column of a fact; a unit that all its numbers have goes into the heading."""
    numbers = [cell for cell in row.cells if cell.value is not None]
    # An accuracy's metric, set and samples take the place of a unit.
    units = {cell.text.partition(" ")[2] if row.better is Better.MORE else cell.text.rpartition(" ")[2] for cell in numbers}
    unit = units.pop() if len(units) == 1 and (row.better is Better.MORE or units <= _HEADING_UNITS) else ""
    texts = [marked(replace(cell, text=cell.text.removesuffix(f" {unit}")) if unit else cell) for cell in row.cells]
    return _Column(row.metric.strip(), texts, is_number=bool(numbers), unit=unit)


def _chosen(names: _Column, columns: dict[str, _Column], width: int) -> set[str]:
    """The facts for which there is room beside the names, the first ones first."""
    chosen: set[str] = set()
    room = width - min(names.width, _NAME_WIDTH)
    for metric in _FIRST_FACTS:
        if metric in columns and columns[metric].width + len(_GAP) <= room:
            room -= columns[metric].width + len(_GAP)
            chosen.add(metric)
    return chosen


def _lines(columns: Sequence[_Column], width: int) -> Iterator[str]:
    """The lines of a table; a name that is longer than its column stands on a line of its own."""
    names, *facts = columns
    room = min(names.width, max(_NAME_WIDTH, width - sum(column.width + len(_GAP) for column in facts)))
    for line in range(2 if any(column.headings[1] for column in facts) else 1):
        yield _GAP.join([names.padded_heading(line, room), *(column.padded_heading(line, column.width) for column in facts)]).rstrip()
    yield _GAP.join("-" * (column.width if column is not names else room) for column in columns)
    for index in range(len(names.texts)):
        cells = [column.padded(index, column.width) for column in facts]
        if names.lengths[index] > room:
            yield names.texts[index]
            yield _GAP.join([" " * room, *cells]).rstrip()
        else:
            yield _GAP.join([names.padded(index, room), *cells]).rstrip()
