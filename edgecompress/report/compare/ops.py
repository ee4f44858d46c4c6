"""Profiles layer by layer: what each layer takes, its share, and where the largest changes are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgecompress.errors import UserError
from edgecompress.report.compare.alignment import Layer, align, kinds_of
from edgecompress.report.compare.cells import one_line
from edgecompress.report.compare.table import check_columns
from edgecompress.units import format_count

if TYPE_CHECKING:
    from edgecompress.profile import Profile, ProfiledOp


@dataclass(frozen=True)
class OpCell:
    """One layer of one profile.

    Attributes:
        latency: of all its ops, in the comparison's unit; None where there is no such layer, or one of its ops was not timed.
        share: of all timed ops of the profile.
        ratio: latency / the baseline's latency.
        is_absent: whether the model has no such layer.
    """

    latency: float | None
    share: float | None
    ratio: float | None
    is_absent: bool


@dataclass(frozen=True)
class OpRow:
    """One layer over all profiles.

    Attributes:
        step: its number, from 0, in the first profile that has it, the baseline before the others; None for the sum.
        name: of its output there.
        kind: with what its steps fuse: `CONV_2D + ADD`.
        change: the largest difference to the baseline, by magnitude, with its sign; an absent layer takes nothing. None when unknown.
    """

    step: int | None
    name: str
    kind: str
    cells: tuple[OpCell, ...]
    change: float | None

    @property
    def label(self) -> str:
        """The name as tables have room for it: converters join the names of all that was folded with semicolons, the output's own first."""
        name = self.name.split(";")[0] or self.name
        return name if self.step is None else f"{self.step} {name}"


@dataclass(frozen=True)
class OpComparison:
    """Layers, of `compare_ops` the largest changes first (of one profile: the slowest), then the sum of each profile's timed ops."""

    names: tuple[str, ...]
    unit: str
    baseline: int
    rows: tuple[OpRow, ...]
    totals: OpRow


def compare_ops(profiles: Sequence[tuple[str, Profile]], *, baseline: int = 0) -> OpComparison:
    """Put profiles side by side, layer by layer.

    Args:
        profiles: (name of the column, profile).
        baseline: the column that ratios and changes refer to, from 0.

    Raises:
        UserError: there is no profile or no such column; a profile has no times per op; units differ; two models share no layers.
    """
    comparison = align_ops(profiles, baseline=baseline)
    return replace(comparison, rows=tuple(sorted(comparison.rows, key=_weight, reverse=True)))


def align_ops(profiles: Sequence[tuple[str, Profile]], *, baseline: int = 0) -> OpComparison:
    """The same with the layers in the order of execution."""
    check_columns(len(profiles), baseline)
    _check_times(profiles)
    unit = _unit_of_all(profiles, baseline)
    models = [(one_line(name), profile.ops) for name, profile in profiles]
    totals = [sum(op.latency for op in ops if op.latency is not None) for _, ops in models]
    rows = tuple(_row(layer, models, totals, baseline) for layer in align(models, baseline))
    names = tuple(name for name, _ in profiles)
    return OpComparison(names, unit, baseline, rows, _sum_row(totals, baseline))


def format_op_latency(latency: float, unit: str) -> str:
    """A layer's latency without its unit, which the heading says: `1.23 M`, `12.3 k`, `812`; microseconds with a tenth below 100."""
    return f"{latency:,.1f}" if unit == "us" and abs(latency) < 100 else format_count(latency)


def _check_times(profiles: Sequence[tuple[str, Profile]]) -> None:
    for name, profile in profiles:
        if all(op.latency is None for op in profile.ops):
            raise UserError(
                f"{one_line(name)} holds no times per op", hint="measure a generated model, or leave out --ops to compare whole inferences"
            )


def _unit_of_all(profiles: Sequence[tuple[str, Profile]], baseline: int) -> str:
    base_name, base = profiles[baseline]
    for name, profile in profiles:
        if profile.latency.unit != base.latency.unit:
            raise UserError(
                f"{one_line(name)} counts {profile.latency.unit}, {one_line(base_name)} {base.latency.unit}: these do not compare per op",
                hint="leave one of the two out",
            )
    return base.latency.unit


def _row(layer: Layer, models: Sequence[tuple[str, Sequence[ProfiledOp]]], totals: Sequence[float], baseline: int) -> OpRow:
    members = [[ops[index] for index in indices] for indices, (_, ops) in zip(layer.ops, models, strict=True)]
    latencies = [_latency(ops) for ops in members]
    base = latencies[baseline]
    cells = tuple(
        OpCell(
            latency,
            latency / total if latency is not None and total else None,
            None if column == baseline else _ratio(latency, base),
            not ops,
        )
        for column, (latency, total, ops) in enumerate(zip(latencies, totals, members, strict=True))
    )
    named = baseline if members[baseline] else next(column for column, ops in enumerate(members) if ops)
    # A step that fuses says more than its parts do: the longest description of the first op that is known.
    kind = max((" + ".join(kinds_of(op) for op in ops) for ops in members if ops), key=lambda text: text.count("+"))
    return OpRow(layer.ops[named][0], one_line(members[named][-1].name), one_line(kind), cells, _change(cells, latencies, baseline))


def _latency(ops: Sequence[ProfiledOp]) -> float | None:
    known = [op.latency for op in ops if op.latency is not None]
    return sum(known) if ops and len(known) == len(ops) else None


def _ratio(latency: float | None, base: float | None) -> float | None:
    ratio = latency / base if latency is not None and base else None
    return ratio if ratio is not None and math.isfinite(ratio) else None


def _change(cells: Sequence[OpCell], latencies: Sequence[float | None], baseline: int) -> float | None:
    taken = [0.0 if cell.is_absent else latency for cell, latency in zip(cells, latencies, strict=True)]
    base = taken[baseline]
    if base is None:
        return None
    differences = [latency - base for column, latency in enumerate(taken) if column != baseline and latency is not None]
    return max(differences, key=abs, default=None)


def _weight(row: OpRow) -> float:
    """What a row is sorted by: its change, or, where nothing is compared, its latency."""
    if row.change is not None:
        return abs(row.change)
    return max((cell.latency or 0.0 for cell in row.cells), default=0.0) if len(row.cells) == 1 else -1.0


def _sum_row(totals: Sequence[float], baseline: int) -> OpRow:
    cells = tuple(
        OpCell(total, 1.0 if total else None, None if column == baseline else _ratio(total, totals[baseline]), False)
        for column, total in enumerate(totals)
    )
    return OpRow(None, "all layers", "", cells, _change(cells, totals, baseline))
