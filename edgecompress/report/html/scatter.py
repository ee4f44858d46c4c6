"""Accuracy against what it costs: a point a profile, and the Pareto front: the profiles that no other beats in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from edgecompress.report.html.axis import scatter_axis
from edgecompress.report.html.bounds import MOST_LABELLED_POINTS, MOST_POINTS
from edgecompress.report.html.figure import AXIS_HEIGHT, bottom_axis, figure, legend, note, percent, section, table
from edgecompress.report.html.markup import Markup, joined, tag
from edgecompress.report.html.subjects import Subject, numbers_of
from edgecompress.report.html.words import UNIT_NAMES, fraction, short_bytes, short_latency

_HEIGHT = 240


@dataclass(frozen=True)
class Point:
    """One profile: its cost (less is better) and its accuracy (more is better)."""

    subject: Subject
    cost: float
    accuracy: float


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other equals or beats in both, from the cheapest on; of equal ones the first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy, p.subject.number)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def accuracy_section(subjects: Sequence[Subject]) -> Markup | None:
    """A chart for each measure of accuracy, and of latency for each unit; None where no accuracy is known."""
    charts = list(_charts(subjects))
    if not charts:
        return None
    unknown = [subject for subject in subjects if subject.profile.accuracy is None]
    left = note(f"Without a known accuracy, so in none of these charts: {numbers_of(unknown)}.") if unknown else None
    return section("accuracy", "Accuracy against cost", *charts, left)


def _charts(subjects: Sequence[Subject]) -> Iterator[Markup]:
    measures = dict.fromkeys((s.profile.accuracy.metric, s.profile.accuracy.set) for s in subjects if s.profile.accuracy is not None)
    units = dict.fromkeys(s.unit for s in subjects)
    for index, (metric, data) in enumerate(list(measures)[:4]):
        same = [
            s for s in subjects if s.profile.accuracy is not None and (s.profile.accuracy.metric, s.profile.accuracy.set) == (metric, data)
        ]
        what = f"{metric} on {data}"
        yield from _chart(
            f"size-{index}", "Accuracy against flash", what, same, lambda s: s.profile.memory.flash_bytes, "bytes", short_bytes
        )
        for unit in units:
            of_unit = [s for s in same if s.unit == unit]
            title = f"Accuracy against {UNIT_NAMES.get(unit, unit)}"
            yield from _chart(f"{unit}-{index}", title, what, of_unit, lambda s: s.latency, unit, partial(short_latency, unit=unit))


def _chart(
    ident: str,
    title: str,
    what: str,
    subjects: Sequence[Subject],
    cost_of: Callable[[Subject], float | None],
    unit: str,
    label: Callable[[float], str],
) -> Iterator[Markup]:
    points = [
        Point(s, cost, s.profile.accuracy.value) for s in subjects if s.profile.accuracy is not None and (cost := cost_of(s)) is not None
    ][:MOST_POINTS]
    if not points:
        return
    front = pareto_front(points)
    best = numbers_of(p.subject for p in front)
    description = f"{what}; up and to the left is better. On the Pareto front, beaten by no other profile in both: {best}."
    rows = [
        (f"{p.subject.number} {p.subject.name}", f"{p.cost:,.10g}", fraction(p.accuracy), "on the front" if p in front else "")
        for p in points
    ]
    yield figure(
        f"accuracy-{ident}",
        title,
        description,
        _drawing(points, front, unit, label),
        _HEIGHT + AXIS_HEIGHT,
        table(title, ("profile", unit, "accuracy", "Pareto"), rows),
        legend=legend([("front", "on the Pareto front"), ("dominated", "beaten by another")]),
    )


def _drawing(points: Sequence[Point], front: Sequence[Point], unit: str, label: Callable[[float], str]) -> list[Markup]:
    across = scatter_axis([p.cost for p in points], label)
    most = max(p.accuracy for p in points)
    up = scatter_axis([p.accuracy for p in points], fraction)

    def height_of(value: float) -> float:
        return _HEIGHT * (1 - up.share(value))

    levels = [
        joined(
            [
                tag("line", x1="0%", x2="100%", y1=height_of(value), y2=height_of(value), class_="grid"),
                tag("text", words, x=4, y=height_of(value) - 4),
            ]
        )
        for value, words in up.ticks
        if value <= 1 or most > 1
    ]
    steps: list[Markup] = []
    for before, after in pairwise(front):
        start, end, low, high = percent(across.percent(before.cost)), percent(across.percent(after.cost)), before.accuracy, after.accuracy
        steps.append(tag("line", x1=start, x2=end, y1=height_of(low), y2=height_of(low), class_="stair"))
        steps.append(tag("line", x1=end, x2=end, y1=height_of(low), y2=height_of(high), class_="stair"))
    best = {p.subject.number for p in front}
    dots = [
        tag(
            "circle",
            tag("title", f"{p.subject.number} {p.subject.name}: {label(p.cost)}, {fraction(p.accuracy)}"),
            cx=percent(across.percent(p.cost)),
            cy=height_of(p.accuracy),
            r=5,
            class_="front" if p.subject.number in best else "dominated",
        )
        for p in sorted(points, key=lambda p: p.subject.number in best)
    ]
    labelled = points if len(points) <= MOST_LABELLED_POINTS else front
    places: dict[tuple[int, int], list[Point]] = {}
    for p in labelled:
        places.setdefault((round(across.share(p.cost) * 25), round(height_of(p.accuracy) / 12)), []).append(p)
    labels = [
        tag(
            "text",
            numbers_of(p.subject for p in group),
            x=percent(across.percent(group[0].cost)),
            y=height_of(group[0].accuracy) - 9,
            text_anchor="middle",
            class_="number",
        )
        for group in places.values()
    ]
    return [bottom_axis(across, _HEIGHT, unit), *levels, *steps, *dots, *labels]
