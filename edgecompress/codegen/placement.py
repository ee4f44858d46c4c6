"""Placing buffers in one block of memory: as low as can be found, and a bound that nothing can be below.

Two buffers that are alive in a common step are disjoint, or they are a pair that may overlap: `offset(source) - offset(output) >= lead`.
Each condition forbids one open interval of offsets to a buffer once the other stands, so a buffer's lowest place is found by one sweep
over those intervals.

1. A few orders that are often good (large first, long-lived first, ...) are placed one by one; what a step needs at most is a first bound.
2. Heights between the two are tried by a complete search (`placement_search`): one that is refused raises the bound, one that fits lowers
   the plan. Most models end here, with a plan that is proven to be the lowest.
3. Where the search is given up, the best order is shuffled a little, always with the same numbers.

All sizes, leads and offsets are multiples of 4, so that kernels may load words.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from edgecompress.codegen.placement_search import Condition, PlacementSearch

BUFFER_ALIGNMENT = 4

# Conditions looked at, about a second; only models whose search is given up take that long.
_SHUFFLE_CONDITIONS = 1_600_000

_UNPLACED = -1

# Orders of that many sources are all tried; a step with more gets a weaker bound.
_ORDERED_SOURCES = 4


@dataclass(frozen=True)
class Buffer:
    """Bytes of the arena that are taken from step `first` to step `last`, both included."""

    bytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are alive in some step."""
        return self.first <= other.last and other.first <= self.last


Leads = Mapping[tuple[int, int], int]
"""Pairs of buffers (source, output) that may overlap when `offset(source) - offset(output)` is at least this; the only step in which both
are alive is the output's first and the source's last."""


@dataclass(frozen=True)
class Placement:
    """Where buffers stand.

    Attributes:
        offsets: in the order of the buffers.
        height: where the highest buffer ends.
        bound: no placement is lower.
    """

    offsets: list[int]
    height: int
    bound: int


def place_buffers(buffers: Sequence[Buffer], leads: Leads) -> Placement:
    """The best placement found; the same each time."""
    if not buffers:
        return Placement([], 0, 0)
    rivals = _rivals(buffers, leads)
    order = min(_orders(buffers), key=lambda order: height(buffers, _place(rivals, order)))
    best = _place(rivals, order)
    found = _searched(buffers, rivals, Placement(best, height(buffers, best), lower_bound(buffers, leads)))
    if found.height == found.bound:
        return found
    # Placed again in the order of their offsets, no buffer gets higher.
    start = sorted(range(len(buffers)), key=lambda i: (found.offsets[i], -buffers[i].first))
    best = _shuffle(buffers, rivals, found.bound, start, found.offsets)
    return Placement(best, height(buffers, best), found.bound)


def height(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """Where the highest buffer ends."""
    return max((offset + b.bytes for offset, b in zip(offsets, buffers, strict=True)), default=0)


def lower_bound(buffers: Sequence[Buffer], leads: Leads) -> int:
    """What no placement can be below, without a search: the most that a step needs."""
    return max(step_needs(buffers, leads).values(), default=0)


def step_needs(buffers: Sequence[Buffer], leads: Leads) -> dict[int, int]:
    """Bytes that a step needs at least, for steps in which a buffer begins: those of all buffers alive, less what pairs of it can share.

    Outputs of a step are disjoint, and so are its sources; what is shared is therefore the sum over the outputs of what each shares with
    its sources, and that is largest when the sources stand side by side from their smallest lead on.
    """
    shared: dict[int, int] = {}
    for output, pairs in itertools.groupby(sorted(leads, key=lambda p: p[1]), key=lambda p: p[1]):
        sources = [(buffers[s].bytes, leads[s, o]) for s, o in pairs]
        step = buffers[output].first
        shared[step] = shared.get(step, 0) + shareable(buffers[output].bytes, sources)
    return {n: sum(b.bytes for b in buffers if b.first <= n <= b.last) - shared.get(n, 0) for n in {b.first for b in buffers}}


def shareable(output: int, sources: Sequence[tuple[int, int]]) -> int:
    """The most bytes that an output can share with its sources, given as (bytes, lead)."""
    if len(sources) > _ORDERED_SOURCES:
        return min(output, sum(max(0, min(size, output - max(lead, 0))) for size, lead in sources))
    best = 0
    # A source that stands aside is one that comes last and begins behind the output.
    for order in itertools.permutations(sources):
        position = shared = 0
        for size, lead in order:
            start = max(position, lead)
            shared = shared + max(0, min(size, output - start))
            position = start + size
            best = max(best, shared)
    return best


@dataclass(frozen=True)
class _Rival:
    """What buffer `other` forbids: offsets strictly between its own plus `low` and its own plus `high`."""

    other: int
    low: int
    high: int


def _rivals(buffers: Sequence[Buffer], leads: Leads) -> list[list[_Rival]]:
    """For each buffer those that are alive with it."""
    return [[_rival(buffers, leads, i, j) for j, other in enumerate(buffers) if j != i and b.meets(other)] for i, b in enumerate(buffers)]


def _rival(buffers: Sequence[Buffer], leads: Leads, mine: int, other: int) -> _Rival:
    low, high = -buffers[mine].bytes, buffers[other].bytes
    if (mine, other) in leads:
        high = min(high, leads[mine, other])
    elif (other, mine) in leads:
        low = max(low, -leads[other, mine])
    return _Rival(other, low, high)


def _place(rivals: Sequence[Sequence[_Rival]], order: Sequence[int]) -> list[int]:
    """Each buffer in turn at the lowest offset that nothing placed before forbids."""
    offsets = [_UNPLACED] * len(rivals)
    for i in order:
        offsets[i] = _lowest(rivals[i], offsets, 0)
    return offsets


def _lowest(rivals: Sequence[_Rival], offsets: Sequence[int], floor: int) -> int:
    """The lowest offset from `floor` on that no placed buffer forbids."""
    position = floor
    for low, high in sorted((offsets[r.other] + r.low, offsets[r.other] + r.high) for r in rivals if offsets[r.other] != _UNPLACED):
        if low < position < high:
            position = high
    return position


def _searched(buffers: Sequence[Buffer], rivals: Sequence[Sequence[_Rival]], start: Placement) -> Placement:
    """Plan and bound brought together by halves: first the height next below the plan, for many plans are the lowest already."""
    if start.height == start.bound:
        return start
    conditions = [Condition(i, r.other, r.low, r.high) for i, those in enumerate(rivals) for r in those if r.other > i]
    search = PlacementSearch([b.bytes for b in buffers], conditions)
    found, tried, unknown = start, start.height - BUFFER_ALIGNMENT, start.height
    while found.bound < unknown:
        offsets, decided = search.below(tried)
        if offsets is not None:
            found = Placement(offsets, height(buffers, offsets), found.bound)
            unknown = found.height
        elif decided:
            found = replace(found, bound=tried + BUFFER_ALIGNMENT)
        else:
            unknown = tried
        halves = (found.bound + unknown) // (2 * BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT
        tried = max(found.bound, min(halves, unknown - BUFFER_ALIGNMENT))
    return found


def _shuffle(
    buffers: Sequence[Buffer], rivals: Sequence[Sequence[_Rival]], bound: int, order: Sequence[int], best: Sequence[int]
) -> list[int]:
    """One buffer at a time moved elsewhere in the order, kept when the plan gets no higher."""
    chance = random.Random(0)  # A fixed seed: the same model gives the same plan.
    kept, lowest, offsets = list(order), height(buffers, best), list(best)
    for _ in range(_SHUFFLE_CONDITIONS // sum(1 + len(r) for r in rivals)):
        if lowest <= bound:
            break
        tried = list(kept)
        moved = tried.pop(chance.randrange(len(tried)))
        tried.insert(chance.randrange(len(tried) + 1), moved)
        came = _place(rivals, tried)
        if (reached := height(buffers, came)) <= lowest:
            kept, lowest, offsets = tried, reached, came
    return offsets


def _orders(buffers: Sequence[Buffer]) -> Iterable[list[int]]:
    """Orders worth trying, each deterministic."""

    def by(key: Callable[[Buffer], tuple[int, ...]]) -> list[int]:
        return sorted(range(len(buffers)), key=lambda i: (*key(buffers[i]), i))

    yield by(lambda b: (-b.bytes, b.first))
    yield by(lambda b: (-b.bytes * (b.last - b.first + 1), b.first))
    yield by(lambda b: (b.first - b.last, -b.bytes))
    yield by(lambda b: (b.first, -b.bytes))
    yield by(lambda b: (-b.last, -b.bytes))
