"""Bytes of the arena that live buffers cover, step by step: the strip below each picture of a plan.

A byte that two live buffers share (a step that writes over what it reads) is in use once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgecompress.profile import PlanEntry
from edgecompress.report.html.bounds import MOST_BUFFERS_IN_USE
from edgecompress.report.html.figure import percent
from edgecompress.report.html.markup import Markup, tag

STRIP_HEIGHT = 78
"""Pixels of the strip with its heading."""
_HEAD = 18


@dataclass(frozen=True)
class Use:
    """Steps `first` to `last`, in each of which live buffers cover `bytes`."""

    first: int
    last: int
    bytes: int

    @property
    def steps(self) -> str:
        return f"step {self.first}" if self.first == self.last else f"steps {self.first} to {self.last}"


def bytes_in_use(plan: Sequence[PlanEntry]) -> tuple[Use, ...]:
    """What is in use from step 0 to the last one, neighbours of one amount together; nothing where the plan has more buffers than
    `MOST_BUFFERS_IN_USE`."""
    if not plan or len(plan) > MOST_BUFFERS_IN_USE:
        return ()
    lives = [(entry.first_op, max(entry.first_op, entry.last_op) + 1, entry) for entry in plan]
    # Between two of these steps nothing begins and nothing ends, however far apart they are.
    stops = sorted({0, *(first for first, _, _ in lives), *(end for _, end, _ in lives)})
    uses: list[Use] = []
    for first, end in pairwise(stops):
        covered = _covered(entry for start, stop, entry in lives if start <= first < stop)
        if uses and uses[-1].bytes == covered:
            uses[-1] = Use(uses[-1].first, end - 1, covered)
        else:
            uses.append(Use(first, end - 1, covered))
    return tuple(uses)


def most_in_use(uses: Sequence[Use]) -> Use:
    """The first steps in which the most is in use."""
    return max(uses, key=lambda use: (use.bytes, -use.first))


def strip(uses: Sequence[Use], steps: int, top: float) -> list[Markup]:
    """A bar for each run of steps, as high as its bytes, those with the most marked; `steps` is how many lie across."""
    most = most_in_use(uses)
    room, bottom = STRIP_HEIGHT - _HEAD, top + STRIP_HEIGHT
    words = f"bytes in use, step by step: {most.bytes:,} B at most, in {most.steps}"
    line = bottom - room if most.bytes else bottom
    return [
        tag("text", words, x=0, y=top + 11),
        *(_bar(use, most, steps, bottom, room) for use in uses if use.bytes),
        tag("line", x1="0%", x2="100%", y1=line, y2=line, class_="peak"),
    ]


def _bar(use: Use, most: Use, steps: int, bottom: float, room: float) -> Markup:
    height = max(room * use.bytes / most.bytes, 2.0)
    return tag(
        "rect",
        tag("title", f"{use.steps}: {use.bytes:,} B in use"),
        x=percent(100 * use.first / steps),
        y=bottom - height,
        width=percent(100 * (use.last - use.first + 1) / steps),
        height=height,
        class_="most" if use.bytes == most.bytes else "use",
    )


def _covered(live: Iterator[PlanEntry]) -> int:
    """Bytes that at least one of the buffers covers."""
    covered = end = 0
    for entry in sorted(live, key=lambda entry: entry.offset):
        covered += max(0, entry.offset + entry.bytes - max(end, entry.offset))
        end = max(end, entry.offset + entry.bytes)
    return covered
