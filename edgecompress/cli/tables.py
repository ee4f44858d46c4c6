"""Tables that stay whole: beside each other where they fit, one fact a line where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgecompress.cli.text import printable

_FOLDED_WIDTH = 16
_GAP = 2
"""Blanks between two columns of the table, one of them the box's own."""


@dataclass(frozen=True)
class Column:
    """A heading; numbers stand to the right."""

    name: str
    number: bool = False


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of `len(columns)` cells.

    Words of the last column go on over lines where they must; on a console too narrow for the others, each row is a block of
    `heading: value` lines.
    """
    clean = [[printable(cell) for cell in row] for row in rows]
    if _needed_width(columns, clean) <= console.width:
        console.print(_table(columns, clean))
        return
    for row in clean:
        for index, (column, cell) in enumerate(zip(columns, row, strict=True)):
            if cell:
                console.print(Text(f"{'  ' if index else ''}{column.name}: {cell}", overflow="fold"))


def print_pairs(console: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Print `name  value` lines, values aligned; a pair without a value is left out."""
    width = max((len(name) for name, value in pairs if value), default=0)
    for name, value in pairs:
        if value:
            console.print(Text(f"{name.ljust(width)}  {printable(value)}", overflow="fold"))


def _needed_width(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """The narrowest console that shows every cell but the last column's in one line."""
    widths = [max(cell_len(cell) for cell in (column.name, *(row[index] for row in rows))) for index, column in enumerate(columns)]
    return sum(widths[:-1]) + min(widths[-1], _FOLDED_WIDTH) + _GAP * (len(columns) - 1)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, _GAP - 1, 0, 0))
    for column in columns:
        table.add_column(column.name, justify="right" if column.number else "left", no_wrap=True)
    table.columns[-1].no_wrap = False
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    return table
