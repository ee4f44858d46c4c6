"""Flash and RAM as stacked bars, against what each target has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgecompress.report.html.axis import Axis, bar_axis
from edgecompress.report.html.bounds import MOST_BARS
from edgecompress.report.html.figure import AXIS_HEIGHT, bottom_axis, figure, legend, note, percent, section, table
from edgecompress.report.html.markup import Markup, tag
from edgecompress.report.html.subjects import Subject, numbers_of
from edgecompress.report.html.words import share_of, short_bytes
from edgecompress.units import format_bytes

_ROW = 36
_FAR = 3
"""A limit beyond so many times the largest bar is told in words: drawn, it would press all bars to nothing."""

Segments = Callable[[Subject], tuple[int | None, ...]]


def memory_section(subjects: Sequence[Subject]) -> Markup | None:
    """Flash and RAM of each profile that knows them; None where none does."""
    charts = [
        _chart(
            "flash",
            "Flash",
            subjects,
            ("code", "model", "harness"),
            _flash,
            lambda s: s.profile.memory.flash_bytes,
            lambda s: s.flash_limit,
        ),
        _chart("ram", "RAM", subjects, ("arena", "static", "stack"), _ram, lambda s: s.ram_bytes, lambda s: s.ram_limit),
    ]
    return section("memory", "Memory", *charts) if any(charts) else None


def _flash(subject: Subject) -> tuple[int | None, ...]:
    memory = subject.profile.memory
    return (memory.code_bytes, memory.model_bytes, memory.harness_bytes)


def _ram(subject: Subject) -> tuple[int | None, ...]:
    memory = subject.profile.memory
    return (memory.arena_bytes, memory.static_ram_bytes, subject.stack_bytes)


def _chart(
    ident: str,
    title: str,
    subjects: Sequence[Subject],
    names: tuple[str, ...],
    segments_of: Segments,
    total_of: Callable[[Subject], int | None],
    limit_of: Callable[[Subject], int | None],
) -> Markup | None:
    known = [s for s in subjects if total_of(s) is not None]
    if not known:
        return None
    shown, left = known[:MOST_BARS], known[MOST_BARS:]
    totals = [total_of(s) or 0 for s in shown]
    limits = [limit for s in shown if (limit := limit_of(s)) is not None]
    highest = max(totals)
    axis = bar_axis(max([highest, *(limit for limit in limits if limit <= _FAR * highest)]), short_bytes)
    height = len(shown) * _ROW
    description = f"{', '.join(names)}: bytes, stacked; a tall mark is the target's limit, drawn where it is near."
    if ident == "ram":
        description += " The stack is its proven bound, or what was seen where there is none."
    drawing = [bottom_axis(axis, height, "bytes")]
    drawing += [_bar(i * _ROW, s, axis, names, segments_of(s), total_of(s) or 0, limit_of(s)) for i, s in enumerate(shown)]
    rows = [
        (f"{s.number} {s.name}", *(format_bytes(part) for part in segments_of(s)), format_bytes(total_of(s)), format_bytes(limit_of(s)))
        for s in shown
    ]
    drawn = figure(
        f"memory-{ident}",
        title,
        description,
        drawing,
        height + AXIS_HEIGHT,
        table(title, ("profile", *names, "total", "limit"), rows),
        legend=legend([(f"{ident}-{i}", name) for i, name in enumerate(names)]),
    )
    unknown = [s for s in subjects if total_of(s) is None]
    remarks = [f"Left out of this chart, which holds {MOST_BARS}: {numbers_of(left)}."] if left else []
    remarks += [f"{title} not known: {numbers_of(unknown)}."] if unknown else []
    return tag("div", drawn, note(" ".join(remarks)) if remarks else None)


def _bar(
    top: float, subject: Subject, axis: Axis, names: tuple[str, ...], parts: tuple[int | None, ...], total: int, limit: int | None
) -> Markup:
    words = short_bytes(total) if not limit else f"{short_bytes(total)}, {share_of(total, limit)} of {short_bytes(limit)}"
    pieces: list[Markup] = []
    start = 0
    kind = "flash" if "code" in names else "ram"
    for index, (name, part) in enumerate(zip(names, parts, strict=True)):
        if part:
            pieces.append(
                tag(
                    "rect",
                    tag("title", f"{name}: {part:,} B"),
                    x=percent(axis.percent(start)),
                    y=top + 17,
                    width=percent(axis.percent(part)),
                    height=12,
                    class_=f"{kind}-{index}",
                )
            )
            start += part
    if limit is not None and limit <= axis.high:
        at = percent(axis.percent(limit))
        pieces.append(tag("line", x1=at, x2=at, y1=top + 14.5, y2=top + 32, class_="limit"))
    state = "exceeds" if limit is not None and total > limit else "value"
    return tag(
        "g",
        tag("text", tag("tspan", str(subject.number), class_="number"), f" {subject.label}", x=0, y=top + 12),
        tag("text", words, x="100%", y=top + 12, text_anchor="end", class_=state),
        *pieces,
    )
