"""The frame of every chart: heading, a picture with a name and a description, a legend, and the same numbers as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgecompress.report.html.axis import Axis
from edgecompress.report.html.markup import Markup, Part, joined, tag

AXIS_HEIGHT = 34
"""Pixels below a plot for its ticks and its title."""


def figure(
    ident: str, title: str, description: str, drawing: Iterable[Part], height: float, numbers: Markup, *, legend: Part = None
) -> Markup:
    """A chart.

    Args:
        ident: of the page's ids, unique.
        description: what the chart shows, for who cannot see it; also its caption.
        drawing: SVG elements, placed in percent of the plot's width and in pixels of its height.
        numbers: the same as a table.
    """
    names = {"aria_labelledby": f"{ident}-title", "aria_describedby": f"{ident}-desc"}
    picture = tag(
        "svg",
        tag("title", title, id=f"{ident}-title"),
        tag("desc", description, id=f"{ident}-desc"),
        *drawing,
        role="img",
        width="100%",
        height=height,
        **names,
    )
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", description)),
        legend,
        tag("div", picture, class_="plot"),
        tag("details", tag("summary", "The numbers of this chart"), numbers, class_="numbers"),
        id=ident,
    )


def table(label: str, heads: Sequence[Part], rows: Iterable[Sequence[Part]], *, class_: str | None = None) -> Markup:
    """A table whose first column names its rows, in a box of its own that scrolls when it is wide."""
    head = tag("thead", tag("tr", *(tag("th", part, scope="col") for part in heads)))
    body = tag("tbody", *(tag("tr", tag("th", row[0], scope="row"), *(tag("td", part) for part in row[1:])) for row in rows))
    return scrolling(label, tag("table", tag("caption", label), head, body, class_=class_))


def scrolling(label: str, content: Markup) -> Markup:
    """A box that scrolls sideways, by keyboard as well."""
    return tag("div", content, class_="scroll", role="region", aria_label=label, tabindex=0)


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Colours and what they mean: (class, words)."""
    return tag("ul", *(tag("li", tag("span", class_=f"swatch {name}"), words) for name, words in entries), class_="legend")


def bottom_axis(axis: Axis, height: float, title: str) -> Markup:
    """Vertical grid lines with their labels below the plot, and what the axis is."""
    lines = [_vertical(axis.percent(value), height, label) for value, label in axis.ticks]
    return tag("g", *lines, tag("text", title, x="100%", y=height + 31, text_anchor="end", class_="axis"))


def percent(share: float) -> str:
    """A place or a length as SVG writes it."""
    return f"{share:.3f}%"


def note(text: str) -> Markup:
    return tag("p", text, class_="note")


def section(ident: str, title: str, *parts: Part) -> Markup:
    return tag("section", tag("h2", title), joined(parts), id=ident)


def _vertical(place: float, height: float, label: str) -> Markup:
    anchor = "start" if place < 3 else "end" if place > 97 else "middle"
    at = percent(place)
    return joined([tag("line", x1=at, x2=at, y1=0, y2=height, class_="grid"), tag("text", label, x=at, y=height + 14, text_anchor=anchor)])
