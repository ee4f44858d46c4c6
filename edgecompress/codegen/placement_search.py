"""Whether buffers fit below a height: a complete search, so that a refusal is a proof that no placement is as low.

Two buffers that meet are a condition: `offset(first) - offset(second)` is not strictly between `low` and `high`. So the first stands at
least `high` above the second (it is up), or at most `low` (it is down). A buffer has a lowest and a highest offset that are still
possible. A condition with one side left moves them, one with none left ends the branch; this alone refuses most heights, because
overlaps in a chain of layers add up. Where the lowest offsets satisfy all conditions they are a placement; else the condition that they
break with the least room is tried on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Truths = NDArray[np.bool_]

_UP, _DOWN = 1, -1

# Conditions looked at for one model, about a second; a look at few takes as long as one at this many more.
_MOST_LOOKS = 8_000_000
_LOOKS_BEFORE = 500


class Condition(NamedTuple):
    """`offset(first) - offset(second)` is at most `low`, or at least `high`."""

    first: int
    second: int
    low: int
    high: int


class Answer(NamedTuple):
    """Offsets of a placement, or None; it is proven that there is none where `decided`."""

    offsets: list[int] | None
    decided: bool


@dataclass
class _Branch:
    """What is still possible: the lowest and the highest offset of each buffer, and the side of each condition that was taken."""

    lowest: Numbers
    highest: Numbers
    sides: NDArray[np.int8]

    def taking(self, condition: int, side: int) -> _Branch:
        sides = self.sides.copy()
        sides[condition] = side
        return _Branch(self.lowest.copy(), self.highest.copy(), sides)


class PlacementSearch:
    """The conditions of one model's buffers, and how much of the search is left for all its heights together."""

    def __init__(self, sizes: Sequence[int], conditions: Sequence[Condition]) -> None:
        self._sizes = np.array(sizes, np.int64)
        columns = np.array(conditions, np.int64).reshape(-1, 4).T
        self._first, self._second, self._low, self._high = columns
        self._left = _MOST_LOOKS

    def below(self, height: int) -> Answer:
        """A placement of at most this height."""
        count = len(self._first)
        open_branches = [_Branch(np.zeros_like(self._sizes), height - self._sizes, np.zeros(count, np.int8))]
        while open_branches:
            branch = open_branches.pop()
            if not self._narrow(branch):
                if self._left <= 0:
                    return Answer(None, False)
                continue
            broken = self._broken(branch)
            if broken.size == 0:
                return Answer(branch.lowest.tolist(), True)
            condition, roomier = self._choose(branch, broken)
            # The last one is tried first.
            open_branches += [branch.taking(condition, -roomier), branch.taking(condition, roomier)]
        return Answer(None, True)

    def _narrow(self, branch: _Branch) -> bool:
        """Move offsets until nothing moves; whether something is still possible, as far as the search went."""
        lowest, highest, sides = branch.lowest, branch.highest, branch.sides
        first, second, low, high = self._first, self._second, self._low, self._high
        while self._left > 0:
            self._left -= len(first) + _LOOKS_BEFORE
            if (lowest > highest).any():
                return False
            up_from, down_from = lowest[second] + high, lowest[first] - low
            can_up, can_down = (sides != _DOWN) & (up_from <= highest[first]), (sides != _UP) & (down_from <= highest[second])
            if not (can_up | can_down).all():
                return False
            up, down = can_up & ~can_down, can_down & ~can_up
            sides[up], sides[down] = _UP, _DOWN
            before = int(lowest.sum() - highest.sum())
            up_to, down_to = highest[first] - high, highest[second] + low
            np.maximum.at(lowest, first[up], up_from[up])
            np.maximum.at(lowest, second[down], down_from[down])
            np.minimum.at(highest, second[up], up_to[up])
            np.minimum.at(highest, first[down], down_to[down])
            if int(lowest.sum() - highest.sum()) == before:
                return True
        return False

    def _broken(self, branch: _Branch) -> Numbers:
        apart = branch.lowest[self._first] - branch.lowest[self._second]
        return np.flatnonzero((branch.sides == 0) & (apart > self._low) & (apart < self._high))

    def _choose(self, branch: _Branch, broken: Numbers) -> tuple[int, int]:
        """The condition with the least room on its narrower side, and its roomier side."""
        first, second = self._first[broken], self._second[broken]
        up = branch.highest[first] - branch.lowest[second] - self._high[broken]
        down = branch.highest[second] - branch.lowest[first] + self._low[broken]
        chosen = int(np.lexsort((np.maximum(up, down), np.minimum(up, down)))[0])
        return int(broken[chosen]), _UP if up[chosen] >= down[chosen] else _DOWN
