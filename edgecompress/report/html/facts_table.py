"""All facts of all profiles: few profiles are columns, as in the terminal; many are rows, which a script can sort and filter."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.profile import Profile
from edgecompress.report.compare import Cell, Comparison, compare
from edgecompress.report.html.bounds import CELL_LENGTH, CELL_LENGTH_OF_MANY, MOST_TABLE_COLUMNS
from edgecompress.report.html.figure import note, scrolling, section, table
from edgecompress.report.html.markup import Markup, clipped, joined, tag
from edgecompress.report.html.subjects import Subject


def table_section(subjects: Sequence[Subject], baseline: int) -> Markup:
    """The comparison."""
    named: list[tuple[str, Profile]] = [(f"{s.number} {s.name}", s.profile) for s in subjects]
    comparison = compare(named, baseline=baseline)
    words = note("An empty cell is not known, never zero. Instructions and microseconds are neither divided nor ranked with each other.")
    picture = _columns(comparison) if len(subjects) <= MOST_TABLE_COLUMNS else _rows(comparison)
    return section("table", "All facts", picture, words)


def _columns(comparison: Comparison) -> Markup:
    rows = ((_metric(row.metric), *(_cell(cell, CELL_LENGTH) for cell in row.cells)) for row in comparison.rows)
    return table("Facts of each profile", ("fact", *comparison.names), rows, class_="facts")


def _rows(comparison: Comparison) -> Markup:
    heads = tag("tr", tag("th", "profile", scope="col"), *(tag("th", row.metric.strip(), scope="col") for row in comparison.rows))
    lines = (
        tag("tr", tag("th", name, scope="row"), *(_sortable(row.metric.strip(), row.cells[at]) for row in comparison.rows))
        for at, name in enumerate(comparison.names)
    )
    label = "Facts of each profile"
    return scrolling(label, tag("table", tag("caption", label), tag("thead", heads), tag("tbody", *lines), class_="facts sortable"))


def _sortable(metric: str, cell: Cell) -> Markup:
    """A cell with what a script sorts by, and the fact's name, which stands beside it in print: there, so many columns have no room."""
    value = None if cell.value is None else repr(cell.value)
    return tag("td", _cell(cell, CELL_LENGTH_OF_MANY), data_fact=metric, data_value=value, data_unit=cell.unit or None)


def _metric(metric: str) -> Markup:
    return tag("span", metric.strip(), class_="part" if metric.startswith(" ") else None)


def _cell(cell: Cell, length: int) -> Markup:
    text = clipped(cell.text, length)
    change = cell.shown[len(cell.text) :].strip()
    shown = tag("strong", text, tag("span", " best", class_="hidden")) if cell.best else joined([text])
    return joined([shown, tag("small", f" {change}")]) if change else shown
