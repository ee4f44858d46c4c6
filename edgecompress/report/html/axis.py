"""From numbers to places: an axis is a range of values and the share of its length at which each lies.

Charts are placed in percent of the plot's width, so that one drawing serves a phone and a wide screen while its text keeps its size.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_WIDE = 20.0
"""Positive values that lie further apart than this are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Axis:
    """Values `low` to `high` along an axis; `ticks` are values with their labels, in order."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where `value` lies, 0 at `low` and 1 at `high`."""
        if self.logarithmic:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def percent(self, value: float) -> float:
        return 100 * self.share(value)


def bar_axis(highest: float, label: Callable[[float], str], *, ticks: int = 4) -> Axis:
    """From zero to a little above `highest`, as lengths must be."""
    high = highest if highest > 0 else 1.0
    step = _nice_step(high / ticks)
    places = [index * step for index in range(math.floor(high / step) + 1)]
    return Axis(0.0, high * 1.02, tuple((place, label(place)) for place in places))


def scatter_axis(values: Sequence[float], label: Callable[[float], str], *, ticks: int = 4, most: float = math.inf) -> Axis:
    """Around the values with a margin; logarithmic where they span more than a factor of 20. No tick is above `most`, nor much room."""
    low, high = min(values), max(values)
    if low > 0 and high / low > _WIDE:
        return _logarithmic(low, high, label)
    margin = (high - low) * 0.12 or abs(high) * 0.05 or 1.0
    start, end = low - margin, high + margin
    if low >= 0:
        start = max(start, 0.0)
    if high <= most:
        end = min(end, most + 0.12 * (most - start))
    step = _nice_step((end - start) / ticks)
    first = math.ceil(start / step)
    places = [index * step for index in range(first, math.floor(end / step) + 1)]
    return Axis(start, end, tuple((place, label(place)) for place in places if place <= max(most, high)))


def _logarithmic(low: float, high: float, label: Callable[[float], str]) -> Axis:
    start, end = low / 1.3, high * 1.3
    powers = range(math.floor(math.log10(start)), math.ceil(math.log10(end)) + 1)
    decades = [10.0**power for power in powers]
    stops = decades if len(decades) > 3 else [decade * factor for decade in decades for factor in (1, 3)]
    return Axis(start, end, tuple((stop, label(stop)) for stop in stops if start <= stop <= end), logarithmic=True)


def _nice_step(rough: float) -> float:
    """The least of 1, 2, 2.5 and 5 times a power of ten that is not below `rough`."""
    # A quarter of the least number that a file can hold is zero.
    rough = max(rough, sys.float_info.min)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in _STEPS if step * power >= rough * 0.999)
