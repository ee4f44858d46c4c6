"""A comparison for other programs and for pages: JSON, Markdown and CSV.

JSON holds what the table shows, with the numbers behind it; its `version` grows when a field changes its meaning or goes away. CSV holds
the profiles themselves, one line each and always with the same columns, each number with its unit in the heading.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from edgecompress.report.compare.cells import Cell, Comparison, defused, one_line
from edgecompress.report.compare.terminal import LINE_FACTS, MOST_COLUMNS, legend

if TYPE_CHECKING:
    from edgecompress.profile import Profile

JSON_VERSION = 1


def json_text(comparison: Comparison) -> str:
    """The comparison as one JSON object; a fact that a profile does not know is null.

    `{"format": "edgecompress comparison", "version": 1, "baseline": 0, "profiles": [NAME...], "rows": [{"metric", "better", "cells":
    [{"text", "value", "unit", "ratio", "points", "best"} or null...]}...]}`; a cell has only those of its fields that are known.
    """
    rows = [
        {
            "metric": row.metric.strip(),
            "better": None if row.better is None else row.better.value,
            "cells": [cell_document(cell) for cell in row.cells],
        }
        for row in comparison.rows
    ]
    document = {
        "format": "edgecompress comparison",
        "version": JSON_VERSION,
        "baseline": comparison.baseline,
        "profiles": list(comparison.names),
        "rows": rows,
    }
    return json.dumps(document, allow_nan=False) + "\n"


def cell_document(cell: Cell) -> dict[str, str | float | bool] | None:
    """The known fields of a cell; None where nothing is known."""
    if not cell.text:
        return None
    fields: dict[str, str | float | bool] = {"text": cell.text}
    if cell.value is not None:
        fields |= {"value": cell.value, "unit": cell.unit}
    if cell.ratio is not None:
        fields["ratio"] = cell.ratio
    if cell.points is not None:
        fields["points"] = cell.points
    return {**fields, "best": True} if cell.best else fields


def markdown_text(comparison: Comparison) -> str:
    """The comparison as a table of GitHub's Markdown, the best cells bold: profiles are columns, or lines where they are many."""
    if len(comparison.names) > MOST_COLUMNS:
        rows = [row for row in comparison.rows if row.metric in LINE_FACTS]
        rows.sort(key=lambda row: LINE_FACTS.index(row.metric))
        heading = ["profile", *(row.metric.strip() for row in rows)]
        lines = [[escaped(name), *(_markdown_cell(row.cells[index]) for row in rows)] for index, name in enumerate(comparison.names)]
    else:
        heading = ["", *(escaped(name) for name in comparison.names)]
        lines = [[row.metric.strip(), *(_markdown_cell(cell) for cell in row.cells)] for row in comparison.rows]
    note = legend(comparison, best="bold:")
    return markdown_table(heading, lines) + (f"\n{note}\n" if note else "")


def markdown_table(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose columns but the first stand to the right; cells are escaped already."""
    rule = "|".join([":--", *("--:" for _ in heading[1:])])
    return "".join(f"{line}\n" for line in (f"| {' | '.join(heading)} |", f"|{rule}|", *(f"| {' | '.join(line)} |" for line in lines)))


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no table, link, emphasis, HTML or mention is made of what a file says."""
    shown = re.sub(r"([\\`*_{}\[\]|#~])", r"\\\1", one_line(text))
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace("@", "@&#8203;")


def bold(text: str) -> str:
    """Escaped text in bold type."""
    return f"**{text}**"


def _markdown_cell(cell: Cell) -> str:
    shown = escaped(cell.shown)
    return bold(shown) if cell.best else shown


def csv_text(profiles: Sequence[tuple[str, Profile]]) -> str:
    """Profiles as CSV (RFC 4180, Unix line ends): what is not known is an empty field, a latency stands in the column of its unit.

    Names and other texts come out of files; none of them becomes a spreadsheet's formula (`defused`). Numbers are as they are.
    """
    lines = CsvLines()
    lines.add(["name", *_CSV])
    for name, profile in profiles:
        lines.add([defused(name), *(_field(of(profile)) for of in _CSV.values())])
    return lines.text()


class CsvLines:
    """Records with Unix line ends; a field that holds a line end of any kind is quoted."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        # The writer quotes what its own line end is made of.
        self._writer = csv.writer(self, lineterminator="\r\n")

    def add(self, fields: Iterable[str | float]) -> None:
        self._writer.writerow(fields)

    def text(self) -> str:
        return "".join(self._lines)

    def write(self, record: str) -> None:
        """What the writer calls with each whole record."""
        self._lines.append(record.removesuffix("\r\n") + "\n")


Field = str | float | bool | None


def _field(value: Field) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str):
        return defused(value)
    return "" if value is None else str(value)


def _in_unit(unit: str, of: Callable[[Profile], Field]) -> Callable[[Profile], Field]:
    return lambda profile: of(profile) if profile.latency.unit == unit else None


_LATENCY: dict[str, Callable[[Profile], Field]] = {
    "min": lambda p: p.latency.min,
    "p50": lambda p: p.latency.p50,
    "p90": lambda p: p.latency.p90,
    "p99": lambda p: p.latency.p99,
    "mean": lambda p: p.latency.mean,
    "first": lambda p: p.latency.first,
}
_CSV: dict[str, Callable[[Profile], Field]] = {
    "target": lambda p: p.target,
    "model": lambda p: p.model.name,
    "model_sha256": lambda p: p.model.sha256,
    "engine": lambda p: p.engine,
    "toolchain": lambda p: p.toolchain,
    "measured_at": lambda p: p.measured_at,
    **{f"latency_{name}_{unit}": _in_unit(unit, of) for unit in ("instructions", "us") for name, of in _LATENCY.items()},
    "runs": lambda p: p.latency.runs,
    "cycles": lambda p: p.cycles,
    "clock_hz": lambda p: p.clock_hz,
    "energy_uj": lambda p: p.energy_uj,
    "macs": lambda p: p.model.macs,
    "parameters": lambda p: p.model.parameters,
    "flash_bytes": lambda p: p.memory.flash_bytes,
    "code_bytes": lambda p: p.memory.code_bytes,
    "model_bytes": lambda p: p.memory.model_bytes,
    "harness_bytes": lambda p: p.memory.harness_bytes,
    "arena_bytes": lambda p: p.memory.arena_bytes,
    "arena_peak_bytes": lambda p: p.memory.arena_peak_bytes,
    "arena_bound_bytes": lambda p: p.memory.arena_bound_bytes,
    "static_ram_bytes": lambda p: p.memory.static_ram_bytes,
    "stack_bytes": lambda p: p.memory.stack_bytes,
    "stack_bound_bytes": lambda p: p.memory.stack_bound_bytes,
    "peak_rss_bytes": lambda p: p.memory.peak_rss_bytes,
    "model_ram_bytes": lambda p: p.memory.model_ram_bytes,
    "target_flash_bytes": lambda p: None if p.limits is None else p.limits.flash_bytes,
    "target_ram_bytes": lambda p: None if p.limits is None else p.limits.ram_bytes,
    "accuracy": lambda p: None if p.accuracy is None else p.accuracy.value,
    "accuracy_metric": lambda p: None if p.accuracy is None else p.accuracy.metric,
    "accuracy_set": lambda p: None if p.accuracy is None else p.accuracy.set,
    "accuracy_samples": lambda p: None if p.accuracy is None else p.accuracy.n,
    "parity_inputs": lambda p: None if p.parity is None else p.parity.inputs,
    "parity_mismatched_bytes": lambda p: None if p.parity is None else p.parity.mismatched_bytes,
    "parity_largest_difference": lambda p: None if p.parity is None else p.parity.largest_difference,
    "parity_tolerance": lambda p: None if p.parity is None else p.parity.tolerance,
    "valid": lambda p: None if p.validity is None else p.validity.valid,
    "doubts": lambda p: None if p.validity is None else "; ".join(p.validity.reasons),
    "tags": lambda p: ", ".join(p.tags or ()),
}
"""Columns after the name; only ever added to, at the end."""
