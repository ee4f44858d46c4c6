"""What each layer takes: profiles of one target and one unit beside each other, their layers aligned as in `compare --ops`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgecompress.report.compare.alignment import MOST_OPS as MOST_ALIGNED
from edgecompress.report.compare.alignment import share_layers
from edgecompress.report.compare.ops import OpRow, align_ops
from edgecompress.report.html.axis import bar_axis
from edgecompress.report.html.bounds import LABEL_LENGTH, MOST_OP_CHARTS, MOST_OPS, MOST_PAIRS_OF_OPS, MOST_SERIES, NAME_LENGTH
from edgecompress.report.html.figure import AXIS_HEIGHT, bottom_axis, figure, legend, note, percent, section, table
from edgecompress.report.html.markup import Markup, clipped, joined, tag
from edgecompress.report.html.subjects import Subject, named, numbers_of
from edgecompress.report.html.words import UNIT_NAMES, short_latency

_HEAD, _BAR, _GAP = 16, 14, 6


@dataclass
class Groups:
    """Profiles whose layers are drawn beside each other, measured on one target in one unit; and those that had no room."""

    shown: list[list[Subject]] = field(default_factory=list)
    left_out: list[Subject] = field(default_factory=list)
    too_long: list[Subject] = field(default_factory=list)


def op_section(subjects: Sequence[Subject]) -> Markup | None:
    """A chart for each group; None where no profile has times of ops."""
    groups = group_by_layers(subjects)
    remarks: list[str] = []
    if groups.left_out:
        remarks.append(f"Left out of this page, which holds {MOST_OP_CHARTS} such charts: {numbers_of(groups.left_out)}.")
    if groups.too_long:
        remarks.append(f"Left out for more than {MOST_ALIGNED:,} ops: {numbers_of(groups.too_long)}.")
    if not groups.shown and not remarks:
        return None
    charts = (_chart(index, group) for index, group in enumerate(groups.shown))
    return section("ops", "Layer by layer", *charts, note(" ".join(remarks)) if remarks else None)


def group_by_layers(subjects: Sequence[Subject]) -> Groups:
    """Profiles with known times of ops: each beside the first ones of its target, unit and network that have room for it."""
    groups, pairs = Groups(), 0
    for subject in subjects:
        ops = subject.profile.ops
        if all(op.latency is None for op in ops):
            continue
        if len(ops) > MOST_ALIGNED:
            groups.too_long.append(subject)
            continue
        for group in groups.shown:
            first = group[0].profile
            if len(group) == MOST_SERIES or (first.target, group[0].unit) != (subject.profile.target, subject.unit):
                continue
            pairs += len(first.ops) * len(ops)
            if pairs <= MOST_PAIRS_OF_OPS and share_layers(first.ops, ops):
                group.append(subject)
                break
        else:
            if len(groups.shown) < MOST_OP_CHARTS:
                groups.shown.append([subject])
            else:
                groups.left_out.append(subject)
    return groups


def _chart(index: int, group: Sequence[Subject]) -> Markup:
    first = group[0]
    timed = [row for row in align_ops([(s.name, s.profile) for s in group]).rows if _most(row) is not None]
    costly = {id(row) for row in sorted(timed, key=lambda row: _most(row) or 0.0, reverse=True)[:MOST_OPS]}
    rows = [row for row in timed if id(row) in costly]
    axis = bar_axis(max(_most(row) or 0.0 for row in rows), lambda value: short_latency(value, first.unit))
    height = (_HEAD + _BAR * len(group) + _GAP) * len(rows)
    unit = UNIT_NAMES.get(first.unit, first.unit)
    title = f"Layers on {clipped(first.profile.target, 60)}"
    description = f"{unit.capitalize()} of each layer, in the order of execution; {named(group)}."
    left = len(timed) - len(rows)
    description += f" The {MOST_OPS} costliest layers; {left} more take less each." if left else ""
    tops = range(0, height, height // len(rows))
    drawing = [bottom_axis(axis, height, unit), *(_layer(top, row, group, axis.percent) for top, row in zip(tops, rows, strict=True))]
    heads = ("layer", *(f"{s.number} {s.name}" for s in group))
    lines = [(clipped(f"{row.label}  {row.kind}", NAME_LENGTH), *(_number(cell.latency) for cell in row.cells)) for row in rows]
    numbers = table(f"{title}, {unit}", heads, lines)
    colours = legend([(f"series-{i}", f"{s.number} {s.label}") for i, s in enumerate(group)])
    return figure(f"ops-{index}", title, description, drawing, height + AXIS_HEIGHT, numbers, legend=colours)


def _most(row: OpRow) -> float | None:
    """The most that a profile's layer takes; None where none was timed."""
    return max((cell.latency for cell in row.cells if cell.latency is not None), default=None)


def _number(latency: float | None) -> str:
    return "" if latency is None else f"{latency:,.10g}"


def _layer(top: float, row: OpRow, group: Sequence[Subject], percent_of: Callable[[float], float]) -> Markup:
    bars: list[Markup] = []
    for index, (subject, cell) in enumerate(zip(group, row.cells, strict=True)):
        y = top + _HEAD + _BAR * index
        if cell.latency is None:
            words = "no such layer" if cell.is_absent else "not timed"
            bars.append(tag("text", f"{subject.number}: {words}", x=0, y=y + 9, class_="axis"))
        else:
            bars.append(_bar(y, index, cell.latency, subject, percent_of(cell.latency)))
    return tag("g", tag("text", clipped(f"{row.label}  {row.kind}", LABEL_LENGTH + 20), x=0, y=top + 12), *bars)


def _bar(y: float, index: int, latency: float, subject: Subject, width: float) -> Markup:
    """The bar with its number, which stands inside where there is no room beside it."""
    inside = width > 80
    title = tag("title", f"{subject.number}: {latency:,.10g}")
    bar = tag("rect", title, x="0%", y=y, width=percent(width), height=10, class_=f"series-{index}")
    words = tag(
        "text",
        short_latency(latency, subject.unit),
        x=percent(width),
        dx=-4 if inside else 4,
        y=y + 9,
        text_anchor="end" if inside else "start",
        class_=f"inside-{index}" if inside else "value",
    )
    return joined([bar, words])
