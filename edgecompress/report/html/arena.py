"""The arena over time: which buffer lies where, from which step to which, how high it gets, and how much of it is in use."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.profile import PlanEntry
from edgecompress.report.html.arena_use import STRIP_HEIGHT, Use, bytes_in_use, most_in_use, strip
from edgecompress.report.html.axis import Axis, bar_axis
from edgecompress.report.html.bounds import MOST_ARENAS, MOST_BUFFERS, NAME_LENGTH
from edgecompress.report.html.figure import figure, note, percent, section, table
from edgecompress.report.html.markup import Markup, clipped, tag
from edgecompress.report.html.subjects import Subject, named, numbers_of
from edgecompress.report.html.words import short_bytes
from edgecompress.units import format_bytes

_HEIGHT, _AXIS, _GAP = 260, 34, 8
Plan = tuple[PlanEntry, ...]


def arena_section(subjects: Sequence[Subject]) -> Markup | None:
    """A chart for each plan, profiles with the same one together; None where no profile has a plan."""
    plans: dict[Plan, list[Subject]] = {}
    for subject in subjects:
        if subject.profile.plan:
            plans.setdefault(subject.profile.plan, []).append(subject)
    if not plans:
        return None
    groups = list(plans.items())
    left = [s for _, group in groups[MOST_ARENAS:] for s in group]
    words = note(f"Left out of this page, which holds {MOST_ARENAS} plans: {numbers_of(left)}.") if left else None
    return section("arena", "The arena", *(_chart(i, plan, group) for i, (plan, group) in enumerate(groups[:MOST_ARENAS])), words)


def peak_of(plan: Sequence[PlanEntry]) -> tuple[int, int]:
    """Where the highest buffer ends, in bytes, and the first step in which it does."""
    end, step = max((entry.offset + entry.bytes, -entry.first_op) for entry in plan)
    return end, -step


def _chart(index: int, plan: Plan, group: Sequence[Subject]) -> Markup:
    first = group[0]
    peak, step = peak_of(plan)
    bound = first.profile.memory.arena_bound_bytes
    steps = max(max(entry.last_op, entry.first_op) for entry in plan) + 1
    shown = sorted(plan, key=lambda entry: entry.bytes, reverse=True)[:MOST_BUFFERS]
    shown.sort(key=lambda entry: (entry.first_op, entry.offset))
    title = f"Arena of {clipped(first.profile.model.name, 60)}, {named(group)}"
    description = f"Across: steps 0 to {steps - 1}; up: bytes of the arena. Peak {peak:,} B, reached in step {step}."
    if bound is not None:
        description += " No plan of these steps can be lower." if bound == peak else f" No plan can be below {bound:,} B."
    if len(shown) < len(plan):
        description += f" The {MOST_BUFFERS} largest of {len(plan):,} buffers."
    uses = bytes_in_use(plan)
    description += f" At most {most_in_use(uses).bytes:,} B are in use at once, in {most_in_use(uses).steps}." if uses else ""
    rows = [(clipped(e.tensor, NAME_LENGTH), format_bytes(e.offset), format_bytes(e.bytes), str(e.first_op), str(e.last_op)) for e in shown]
    heads = ("buffer", "at", "bytes", "from step", "to step")
    numbers = tag("div", table(title, heads, rows), _use_table(title, uses) if uses else None)
    drawing = [*_drawing(shown, peak, bound, steps), *(strip(uses, steps, _HEIGHT + _AXIS + _GAP) if uses else ())]
    height = _HEIGHT + _AXIS + (_GAP + STRIP_HEIGHT if uses else 0)
    return figure(f"arena-{index}", title, description, drawing, height, numbers)


def _use_table(title: str, uses: Sequence[Use]) -> Markup:
    return table(f"{title}: bytes in use", ("steps", "bytes in use"), [(use.steps, format_bytes(use.bytes)) for use in uses])


def _drawing(entries: Sequence[PlanEntry], peak: int, bound: int | None, steps: int) -> list[Markup]:
    up = bar_axis(max(peak, bound or 0, 1), short_bytes)

    def height_of(value: float) -> float:
        return _HEIGHT * (1 - up.share(value))

    grid = [tag("line", x1="0%", x2="100%", y1=height_of(value), y2=height_of(value), class_="grid") for value, _ in up.ticks]
    labels = [
        tag("text", words, x="100%", y=height_of(value) - 3, text_anchor="end", class_="over-plot") for value, words in up.ticks if value
    ]
    every = max(1, -(-steps // 12))
    ticks = [
        tag("text", str(at), x=percent(100 * (at + 0.5) / steps), y=_HEIGHT + 14, text_anchor="middle") for at in range(0, steps, every)
    ]
    line = height_of(peak)
    marks = [
        tag("line", x1="0%", x2="100%", y1=line, y2=line, class_="peak"),
        tag("text", f"peak {peak:,} B", x=4, y=line + 13, class_="over-plot number"),
        tag("text", "step", x="100%", y=_HEIGHT + 31, text_anchor="end", class_="axis"),
    ]
    return [*grid, *(_buffer(entry, up, steps) for entry in entries), *labels, *ticks, *marks]


def _buffer(entry: PlanEntry, up: Axis, steps: int) -> Markup:
    height = max(_HEIGHT * up.share(entry.bytes), 1.0)
    top = _HEIGHT * (1 - up.share(entry.offset + entry.bytes))
    left, width = 100 * entry.first_op / steps, 100 * (max(entry.last_op, entry.first_op) - entry.first_op + 1) / steps
    words = f"{clipped(entry.tensor, NAME_LENGTH)}: {entry.bytes:,} B at {entry.offset:,}, steps {entry.first_op} to {entry.last_op}"
    kind = "scratch" if entry.tensor == "scratch" else "buffer"
    name = tag("text", clipped(entry.tensor, 40), x=5, y=min(height / 2 + 4, height - 3)) if height >= 14 else None
    box = tag("rect", width="100%", height="100%", class_=kind)
    return tag("svg", tag("title", words), box, name, x=percent(left), y=top, width=percent(width), height=height)
