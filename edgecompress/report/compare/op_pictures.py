"""Layers of profiles on a terminal, as Markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecompress.errors import UserError
from edgecompress.report.compare.cells import defused, format_ratio, one_line
from edgecompress.report.compare.documents import CsvLines, escaped, markdown_table
from edgecompress.report.compare.ops import OpCell, OpComparison, OpRow, format_op_latency
from edgecompress.report.compare.terminal import MOST_COLUMNS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

JSON_VERSION = 1

_NAME_WIDTH = 44
_KIND_WIDTH = 32


def show_ops(comparison: OpComparison, console: Console) -> None:
    """Print the layers: a table, or, where it is too narrow for that, a heading for each layer with a line a profile.

    Raises:
        UserError: more profiles than a table has room for.
    """
    from rich.console import Console
    from rich.measure import Measurement

    _check_count(comparison)
    measuring = Console(width=10_000)
    table = _table(comparison)
    if Measurement.get(measuring, measuring.options, table).maximum <= console.width:
        console.print(table)
    else:
        _print_stacked(comparison, console)
    console.print()
    console.print(_note(comparison))


def op_markdown(comparison: OpComparison) -> str:
    """The layers as a table of GitHub's Markdown.

    Raises:
        UserError: more profiles than a table has room for.
    """
    _check_count(comparison)
    heading = ["layer", "kind", *(escaped(name) for name in comparison.names), *_change_heading(comparison)]
    lines = [
        [escaped(row.label), escaped(row.kind), *(_shown(cell, comparison.unit) for cell in row.cells), *_change_of(row, comparison)]
        for row in (*comparison.rows, comparison.totals)
    ]
    return f"{markdown_table(heading, lines)}\n{escaped(_note(comparison))}\n"


def op_csv(comparison: OpComparison) -> str:
    """One line a layer and profile, numbers as they are; a layer that a profile lacks has no line there."""
    unit = comparison.unit
    lines = CsvLines()
    lines.add(["step", "layer", "kind", "profile", f"latency_{unit}", "share", "ratio"])
    for row in comparison.rows:
        for name, cell in zip(comparison.names, row.cells, strict=True):
            if not cell.is_absent:
                words = (defused(word) for word in (row.name, row.kind, name))
                facts = (row.step, *words, cell.latency, cell.share, cell.ratio)
                lines.add("" if fact is None else fact for fact in facts)
    return lines.text()


def op_json(comparison: OpComparison) -> str:
    """The layers as one JSON object.

    `{"format": "edgecompress layers", "version": 1, "unit", "baseline", "profiles": [NAME...], "layers": [{"step", "name", "kind",
    "change", "cells": [{"latency", "share", "ratio"} or null where there is no such layer...]}...]}`
    """
    layers = [
        {
            "step": row.step,
            "name": row.name,
            "kind": row.kind,
            "change": row.change,
            "cells": [
                None if cell.is_absent else {"latency": cell.latency, "share": cell.share, "ratio": cell.ratio} for cell in row.cells
            ],
        }
        for row in comparison.rows
    ]
    head = {"format": "edgecompress layers", "version": JSON_VERSION, "unit": comparison.unit, "baseline": comparison.baseline}
    return json.dumps({**head, "profiles": list(comparison.names), "layers": layers}, allow_nan=False) + "\n"


def _check_count(comparison: OpComparison) -> None:
    if len(comparison.names) > MOST_COLUMNS:
        raise UserError(
            f"a table of layers has room for {MOST_COLUMNS} profiles; {len(comparison.names)} were given",
            hint="--format csv and json take any number",
        )


def _note(comparison: OpComparison) -> str:
    unit = f"latency in {comparison.unit}, share of all layers"
    if len(comparison.names) == 1:
        return f"{unit}; the slowest layer first"
    return f"{unit}, ratio against {one_line(comparison.names[comparison.baseline])}; the largest change first"


def _shown(cell: OpCell, unit: str) -> str:
    """`1.23 M  12.3 %  (0.45x)`."""
    if cell.is_absent:
        return "no such layer"
    if cell.latency is None:
        return "not timed"
    share = "" if cell.share is None else f"  {100 * cell.share:.1f} %"
    return f"{format_op_latency(cell.latency, unit)}{share}{'' if cell.ratio is None else f'  ({format_ratio(cell.ratio)})'}"


def _change_heading(comparison: OpComparison) -> list[str]:
    return ["change"] if len(comparison.names) > 1 else []


def _change_of(row: OpRow, comparison: OpComparison) -> list[str]:
    if len(comparison.names) == 1:
        return []
    if not row.change:
        return ["" if row.change is None else "0"]
    return [("+" if row.change > 0 else "") + format_op_latency(row.change, comparison.unit)]


def _table(comparison: OpComparison) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold", max_width=_NAME_WIDTH)
    table.add_column("kind", overflow="fold", max_width=_KIND_WIDTH)
    for name in (*comparison.names, *_change_heading(comparison)):
        table.add_column(Text(one_line(name), overflow="fold"), justify="right", overflow="fold", max_width=_NAME_WIDTH)

    def add(row: OpRow) -> None:
        words: Sequence[str] = (row.label, row.kind, *(_shown(cell, comparison.unit) for cell in row.cells), *_change_of(row, comparison))
        table.add_row(*(Text(word, overflow="fold") for word in words))

    for row in comparison.rows:
        add(row)
    table.add_section()
    add(comparison.totals)
    return table


def _print_stacked(comparison: OpComparison, console: Console) -> None:
    from rich.text import Text

    for row in (*comparison.rows, comparison.totals):
        console.print(Text(f"{row.label} {row.kind}".rstrip(), "bold", overflow="fold"))
        for name, cell in zip(comparison.names, row.cells, strict=True):
            console.print(Text(f"  {one_line(name)}: {_shown(cell, comparison.unit)}", overflow="fold"))
        change = "".join(_change_of(row, comparison))
        if change:
            console.print(f"  change: {change}")
