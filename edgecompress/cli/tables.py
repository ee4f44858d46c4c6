"""Tables that stay whole: beside each other where they fit, one fact a line where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from edgecompress.cli.text import printable


@dataclass(frozen=True)
class Column:
    """A heading; numbers stand to the right."""

    name: str
    number: bool = False


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of `len(columns)` cells; on a console too narrow for the table, each row as a block of `heading: value` lines."""
    clean = [[printable(cell) for cell in row] for row in rows]
    table = _table(columns, clean)
    roomy = Console(width=10_000)
    if Measurement.get(roomy, roomy.options, table).maximum <= console.width:
        console.print(table)
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


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.name, justify="right" if column.number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
