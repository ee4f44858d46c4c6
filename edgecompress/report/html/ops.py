"""What each op takes: profiles of one target and one unit beside each other, op by op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgecompress.report.html.axis import bar_axis
from edgecompress.report.html.bounds import LABEL_LENGTH, MOST_OP_CHARTS, MOST_OPS, MOST_SERIES, NAME_LENGTH
from edgecompress.report.html.figure import AXIS_HEIGHT, bottom_axis, figure, legend, note, percent, section, table
from edgecompress.report.html.markup import Markup, clipped, tag
from edgecompress.report.html.subjects import Subject, numbers_of
from edgecompress.report.html.words import UNIT_NAMES, short_latency

_HEAD, _BAR, _GAP = 16, 14, 6


@dataclass
class Group:
    """Profiles whose ops are mostly the same ones, measured on one target in one unit."""

    subjects: list[Subject] = field(default_factory=list)
    ops: dict[str, dict[int, float]] = field(default_factory=dict)
    """By the op's name and kind: what it takes, by the profile's number."""

    def takes(self, timed: dict[str, float]) -> bool:
        """Whether a profile with these ops belongs here."""
        return len(self.subjects) < MOST_SERIES and 2 * len(self.ops.keys() & timed.keys()) >= len(timed)

    def add(self, subject: Subject, timed: dict[str, float]) -> None:
        self.subjects.append(subject)
        for name, latency in timed.items():
            self.ops.setdefault(name, {})[subject.number] = latency


def op_section(subjects: Sequence[Subject]) -> Markup | None:
    """A chart for each group; None where no profile has times of ops."""
    groups = group_by_ops(subjects)
    if not groups:
        return None
    shown, left = groups[:MOST_OP_CHARTS], groups[MOST_OP_CHARTS:]
    missing = [s for group in left for s in group.subjects]
    words = note(f"Left out of this page, which holds {MOST_OP_CHARTS} such charts: {numbers_of(missing)}.") if missing else None
    return section("ops", "Op by op", *(_chart(index, group) for index, group in enumerate(shown)), words)


def group_by_ops(subjects: Sequence[Subject]) -> list[Group]:
    """Profiles with known times of ops, those of one target, unit and network together."""
    groups: dict[tuple[str, str], list[Group]] = {}
    ordered: list[Group] = []
    for subject in subjects:
        timed = _timed(subject)
        if not timed:
            continue
        peers = groups.setdefault((subject.profile.target, subject.unit), [])
        group = next((each for each in peers if each.takes(timed)), None)
        if group is None:
            group = Group()
            peers.append(group)
            ordered.append(group)
        group.add(subject, timed)
    return ordered


def _timed(subject: Subject) -> dict[str, float]:
    """Times by name and kind; a name that comes again is counted."""
    timed: dict[str, float] = {}
    for op in subject.profile.ops:
        if op.latency is not None:
            name, again = f"{op.name}  {op.kind}", 2
            while name in timed:
                name, again = f"{op.name} ({again})  {op.kind}", again + 1
            timed[name] = op.latency
    return timed


def _chart(index: int, group: Group) -> Markup:
    first = group.subjects[0]
    costly = set(sorted(group.ops, key=lambda name: max(group.ops[name].values()), reverse=True)[:MOST_OPS])
    names = [name for name in group.ops if name in costly]
    axis = bar_axis(max(max(group.ops[name].values()) for name in names), lambda v: short_latency(v, first.unit))
    row = _HEAD + _BAR * len(group.subjects) + _GAP
    height = row * len(names)
    unit = UNIT_NAMES.get(first.unit, first.unit)
    title = f"Ops on {clipped(first.profile.target, 60)}"
    left = len(group.ops) - len(names)
    description = f"{unit.capitalize()} of each op, in the order of execution; profiles {numbers_of(group.subjects)}."
    description += f" The {MOST_OPS} costliest ops; {left} more take less each." if left else ""
    drawing = [bottom_axis(axis, height, unit), *(_op(row * at, name, group, axis.percent) for at, name in enumerate(names))]
    rows = [
        (
            clipped(name, NAME_LENGTH),
            *(f"{value:,.10g}" if (value := group.ops[name].get(s.number)) is not None else "" for s in group.subjects),
        )
        for name in names
    ]
    entries = [(f"series-{i}", f"{s.number} {s.label}") for i, s in enumerate(group.subjects)]
    heads = ("op", *(f"{s.number} {s.name}" for s in group.subjects))
    return figure(
        f"ops-{index}", title, description, drawing, height + AXIS_HEIGHT, table(f"{title}, {unit}", heads, rows), legend=legend(entries)
    )


def _op(top: float, name: str, group: Group, percent_of: Callable[[float], float]) -> Markup:
    bars: list[Markup] = []
    for index, subject in enumerate(group.subjects):
        value, y = group.ops[name].get(subject.number), top + _HEAD + _BAR * index
        if value is None:
            bars.append(tag("text", f"{subject.number}: no such op", x=0, y=y + 9, class_="axis"))
            continue
        width = percent_of(value)
        inside = width > 80
        bars.append(
            tag(
                "rect",
                tag("title", f"{subject.number}: {value:,.10g}"),
                x="0%",
                y=y,
                width=percent(width),
                height=10,
                class_=f"series-{index}",
            )
        )
        bars.append(
            tag(
                "text",
                short_latency(value, subject.unit),
                x=percent(width),
                dx=-4 if inside else 4,
                y=y + 9,
                text_anchor="end" if inside else "start",
                class_=f"inside-{index}" if inside else "value",
            )
        )
    return tag("g", tag("text", clipped(name, LABEL_LENGTH + 20), x=0, y=top + 12), *bars)
