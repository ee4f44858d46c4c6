"""Accuracy against what it costs: a point a profile, and the Pareto front: the profiles that no other beats in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from edgecompress.report.html.axis import Axis, scatter_axis
from edgecompress.report.html.bounds import MOST_LABELLED_POINTS, MOST_POINTS
from edgecompress.report.html.figure import AXIS_HEIGHT, bottom_axis, figure, legend, note, percent, section, table
from edgecompress.report.html.markup import Markup, joined, tag
from edgecompress.report.html.subjects import Subject, numbers_of
from edgecompress.report.html.words import UNIT_NAMES, fraction, short_bytes, short_latency

_HEIGHT = 240
_LABEL_SHARE, _LABEL_HEIGHT = 0.1, 26
"""Labels nearer than this can lie on each other: of the plot's width (35 pixels on a phone, `2 to 4` in 12 pixels), and in pixels."""
_POINT_SHARE = 0.02
"""Points nearer than this lie on each other, and share a label."""


@dataclass
class Label:
    """The numbers of points that lie at one place, 0 to 1 across and in pixels down."""

    points: list[Point]
    place: float
    height: float
    is_below: bool


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
    up = scatter_axis([p.accuracy for p in points], fraction, most=1.0)

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
    labels = [
        tag(
            "text",
            numbers_of(p.subject for p in label.points),
            x=percent(100 * label.place),
            y=label.height + (18 if label.is_below else -9),
            text_anchor="middle",
            class_="number over-plot",
        )
        for label in labels_of(labelled, across, height_of)
    ]
    return [bottom_axis(across, _HEIGHT, unit), *levels, *steps, *dots, *labels]


def labels_of(points: Sequence[Point], across: Axis, height_of: Callable[[float], float]) -> list[Label]:
    """Where the numbers of points stand: above, below where a near one stands above already, and together where both are taken."""
    labels: list[Label] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy, p.subject.number)):
        place, height = across.share(point.cost), height_of(point.accuracy)
        near = [label for label in labels if place - label.place < _LABEL_SHARE and abs(height - label.height) < _LABEL_HEIGHT]
        on_it = [label for label in near if place - label.place < _POINT_SHARE]
        if on_it or len({label.is_below for label in near}) == 2:
            (on_it or near)[-1].points.append(point)
        else:
            labels.append(Label([point], place, height, is_below=any(not label.is_below for label in near)))
    return labels
