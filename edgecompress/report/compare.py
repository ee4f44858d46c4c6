"""Profiles side by side: one row a fact, one column a profile, ratios against the first.

A ratio stands only between numbers of one unit: instructions are never divided by microseconds. What is not known is an empty cell,
never a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecompress.errors import UserError
from edgecompress.units import format_bytes, format_count, format_gap

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from edgecompress.profile import Profile


_CELL_WIDTH = 34
"""Columns of a cell: the longest number with its unit and ratio (`999.99 M instructions  (1,000.0x)`); longer words go on over lines."""


@dataclass(frozen=True)
class Cell:
    """One fact of one profile.

    Attributes:
        text: as shown; empty when unknown.
        value: the number behind it, in the row's unit; None when unknown or not a number.
        unit: two values compare only when their units are equal.
        ratio: value / the first profile's value, where both are known, of one unit, and the first is not zero.
    """

    text: str
    value: float | None = None
    unit: str = ""
    ratio: float | None = None

    @property
    def shown(self) -> str:
        """The text with its ratio: `29.86 M  (0.45x)`."""
        return self.text if self.ratio is None else f"{self.text}  ({format_ratio(self.ratio)})"


@dataclass(frozen=True)
class Row:
    """One fact over all profiles; as many cells as profiles."""

    metric: str
    cells: tuple[Cell, ...]

    @property
    def known(self) -> bool:
        return any(cell.text for cell in self.cells)


@dataclass(frozen=True)
class Comparison:
    """The table of `compare`: names of the columns, then rows; a fact that no profile knows has no row."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]


def compare(profiles: Sequence[tuple[str, Profile]]) -> Comparison:
    """Put profiles side by side.

    Args:
        profiles: (name of the column, profile); the first is what the ratios refer to.

    Raises:
        UserError: there is no profile.

    Example:
        >>> profile = edgecompress.measure("cortex-m4", Path("digits.tflite"))
        >>> edgecompress.compare([("before", profile), ("after", profile)]).names
        ('before', 'after')
    """
    if not profiles:
        raise UserError(
            "compare needs at least one profile; none was given", hint="measure writes profiles: edgecompress measure ... -o profile.json"
        )
    documents = [profile for _, profile in profiles]
    rows = (Row(metric, _with_ratios_to_first([cell_of(profile) for profile in documents])) for metric, cell_of in _ROWS)
    return Comparison(tuple(name for name, _ in profiles), tuple(row for row in rows if row.known))


def render(comparison: Comparison, width: int) -> list[RenderableType]:
    """The comparison for a console of `width` columns: one table, or several when the profiles do not fit beside each other.

    The first profile is repeated in each table, since the ratios refer to it. No cell is ever cut.
    """
    from rich.console import Console
    from rich.measure import Measurement

    measuring = Console(width=10_000)

    def fits(columns: Sequence[int]) -> bool:
        table = _table(comparison, columns)
        return Measurement.get(measuring, measuring.options, table).maximum <= width

    return [_table(comparison, columns) for columns in _split(len(comparison.names), fits)]


def show(comparison: Comparison, console: Console) -> None:
    """Print the comparison."""
    for index, table in enumerate(render(comparison, console.width)):
        if index:
            console.print()
        console.print(table)


def format_ratio(ratio: float) -> str:
    """Three significant digits at least where it matters: `0.45x`, `1.00x`, `12.3x`, `0.0042x`."""
    if ratio == 0 or abs(ratio) >= 0.1:
        return f"{ratio:.2f}x" if abs(ratio) < 10 else f"{ratio:,.1f}x"
    return f"{ratio:.2g}x"


def _split(count: int, fits: Callable[[Sequence[int]], bool]) -> list[list[int]]:
    """Columns of each table: the first one and as many of the others as fit, at least one."""
    if count == 1:
        return [[0]]
    groups: list[list[int]] = [[0, 1]]
    for column in range(2, count):
        wider = [*groups[-1], column]
        if fits(wider):
            groups[-1] = wider
        else:
            groups.append([0, column])
    return groups


def _table(comparison: Comparison, columns: Sequence[int]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(Text(comparison.names[column], overflow="fold"), justify="right", overflow="fold", max_width=_CELL_WIDTH)
    for row in comparison.rows:
        table.add_row(row.metric, *(Text(row.cells[column].shown, overflow="fold") for column in columns))
    return table


def with_ratios(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells with ratios against the first one that has a number."""
    base = next((index for index, cell in enumerate(cells) if cell.value is not None), 0)
    return tuple(cell if index <= base else _against(cells[base], cell) for index, cell in enumerate(cells))


def _with_ratios_to_first(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    # Here every ratio refers to one and the same profile, so a fact that this one lacks has no ratios.
    return tuple(cells) if cells[0].value is None else with_ratios(cells)


def _against(first: Cell, cell: Cell) -> Cell:
    if first.value is None or cell.value is None or first.value == 0 or first.unit != cell.unit:
        return cell
    return Cell(cell.text, cell.value, cell.unit, cell.value / first.value)


def _words(of: Callable[[Profile], str | None]) -> Callable[[Profile], Cell]:
    return lambda profile: Cell(of(profile) or "")


def _bytes(of: Callable[[Profile], int | None]) -> Callable[[Profile], Cell]:
    return lambda profile: Cell(format_bytes(of(profile)), of(profile), "bytes")


def _count(of: Callable[[Profile], int | None]) -> Callable[[Profile], Cell]:
    return lambda profile: Cell(format_count(of(profile)), of(profile), "count")


def _time(of: Callable[[Profile], float | None]) -> Callable[[Profile], Cell]:
    return lambda profile: Cell(format_latency(of(profile), profile.latency.unit), of(profile), profile.latency.unit)


def format_latency(latency: float | None, unit: str) -> str:
    """Latency with its unit: `29.86 M instructions`, `812 us`, `1,234 us`; nothing where it is unknown."""
    if latency is None:
        return ""
    if unit == "us":
        return f"{latency:,.1f} us" if latency < 100 else f"{latency:,.0f} us"
    return f"{format_count(latency)} {unit}"


def _accuracy(profile: Profile) -> Cell:
    accuracy = profile.accuracy
    if accuracy is None:
        return Cell("")
    # Accuracies on different sets or by different measures do not compare; a difference in points says more than a ratio does.
    return Cell(f"{accuracy.value:.4f} {accuracy.metric} ({accuracy.set}, n = {accuracy.n:,})")


def _energy(profile: Profile) -> Cell:
    microjoules = profile.energy_uj
    return Cell("") if microjoules is None else Cell(f"{microjoules:,.4g} uJ", microjoules, "uJ")


def _parity(profile: Profile) -> Cell:
    parity = profile.parity
    if parity is None:
        return Cell("")
    inputs = f"{parity.inputs} inputs"
    if parity.mismatched_bytes == 0:
        return Cell(f"same bytes, {inputs}")
    allowed = f" ({parity.tolerance} allowed)" if parity.tolerance else ""
    return Cell(f"{parity.mismatched_bytes:,} differ, by <= {parity.largest_difference}{allowed}, {inputs}")


def _joined(items: Sequence[str] | None) -> str:
    return ", ".join(items or ())


def _gap(profile: Profile) -> str | None:
    """How far the plan's peak is above what no plan can be below."""
    peak, bound = profile.memory.arena_peak_bytes, profile.memory.arena_bound_bytes
    return None if peak is None or bound is None else format_gap(peak, bound)


_ROWS: tuple[tuple[str, Callable[[Profile], Cell]], ...] = (
    ("target", _words(lambda p: p.target)),
    ("model", _words(lambda p: p.model.name)),
    ("engine", _words(lambda p: p.engine)),
    ("toolchain", _words(lambda p: p.toolchain)),
    ("latency p50", _time(lambda p: p.latency.p50)),
    ("  mean", _time(lambda p: p.latency.mean)),
    ("latency p99", _time(lambda p: p.latency.p99)),
    ("cycles", _count(lambda p: p.cycles)),
    ("energy", _energy),
    ("MACs", _count(lambda p: p.model.macs)),
    ("parameters", _count(lambda p: p.model.parameters)),
    ("flash", _bytes(lambda p: p.memory.flash_bytes)),
    ("  code", _bytes(lambda p: p.memory.code_bytes)),
    ("  model", _bytes(lambda p: p.memory.model_bytes)),
    ("  harness", _bytes(lambda p: p.memory.harness_bytes)),
    ("arena", _bytes(lambda p: p.memory.arena_bytes)),
    ("  peak", _bytes(lambda p: p.memory.arena_peak_bytes)),
    ("  bound", _bytes(lambda p: p.memory.arena_bound_bytes)),
    ("  gap", _words(_gap)),
    ("static RAM", _bytes(lambda p: p.memory.static_ram_bytes)),
    ("stack", _bytes(lambda p: p.memory.stack_bytes)),
    ("stack bound", _bytes(lambda p: p.memory.stack_bound_bytes)),
    ("peak RSS", _bytes(lambda p: p.memory.peak_rss_bytes)),
    ("model's RAM", _bytes(lambda p: p.memory.model_ram_bytes)),
    ("accuracy", _accuracy),
    ("parity", _parity),
    ("  against", _words(lambda p: p.parity.reference if p.parity else None)),
    ("  outputs", _words(lambda p: p.parity.outputs_sha256[:12] if p.parity and p.parity.outputs_sha256 else None)),
    ("kernels", _words(lambda p: (p.environment or {}).get("kernels"))),
    ("threads", _words(lambda p: None if p.conditions is None or p.conditions.threads is None else str(p.conditions.threads))),
    ("left behind", _words(lambda p: (p.environment or {}).get("left behind"))),
    ("doubt", _words(lambda p: "; ".join(p.validity.reasons) if p.validity else None)),
    ("tags", _words(lambda p: _joined(p.tags))),
)
