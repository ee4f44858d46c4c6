"""Times of a protocol without a checksum, held against each other and against this computer's clock.

    t0  t1  [ inference ]  t2  t3        t0 .. t3 the device's clock, read twice before and twice after

All of it must rise, the inference must fit between t1 and t2, and neither it nor the whole may be longer than what passed here. A damaged
digit that stays inside these bounds cannot be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

MOST_CLOCK_ERROR = 0.05
"""By how much a device's interval may exceed this computer's around it: RC oscillators are off by 1 %, hot ones by more."""
CLOCK_SLACK_US = 2000.0
"""Beside that: two readings of a clock that counts milliseconds."""


@dataclass(frozen=True)
class TimedRun:
    """One inference and the readings around it, in microseconds.

    Attributes:
        before, after: the device's clock, twice each.
        measured_us: by the device, of the inference alone.
        came_us, passed_us: by this computer, around the inference and around all of it.
    """

    before: tuple[int, int]
    measured_us: int
    after: tuple[int, int]
    came_us: float
    passed_us: float


def problem_of(run: TimedRun) -> str | None:
    """What speaks against a run's times, as a sentence; None when they fit."""
    times = (*run.before, *run.after)
    if any(later < earlier for earlier, later in pairwise(times)) or run.measured_us > times[2] - times[1]:
        return f"the device's times are out of order: {list(times)}, with {run.measured_us} us for the inference"
    for what, theirs, ours in (("its inference", run.measured_us, run.came_us), ("all of it", times[3] - times[0], run.passed_us)):
        if theirs > ours * (1 + MOST_CLOCK_ERROR) + CLOCK_SLACK_US:
            return f"the device says {theirs} us for {what}; {ours:.0f} us passed here"
    return None
