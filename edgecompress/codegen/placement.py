"""Placing buffers in one block of memory: a search for offsets that is as low as it can find.

Two buffers that are alive in a common step are disjoint, or they are a pair that may overlap: `offset(source) - offset(output) >= lead`.
Each condition forbids one open interval of offsets to a buffer once the other stands, so a buffer's lowest place is found by one sweep
over those intervals. Buffers are placed one by one; the order decides how tight that gets, so several orders are tried, then the best is
shuffled a little, always with the same numbers, until nothing can be below the bound.

All sizes, leads and offsets are multiples of 4, so that kernels may load words.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

BUFFER_ALIGNMENT = 4

# Placing n buffers takes about n * n comparisons; the search stays under a second for the largest models.
_SEARCH_COMPARISONS = 4_000_000
_SEARCH_ROUNDS = 400

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


def place_buffers(buffers: Sequence[Buffer], leads: Leads) -> list[int]:
    """The best offsets found, in the order of `buffers`; the same each time."""
    if not buffers:
        return []
    rivals = _rivals(buffers, leads)
    bound = lower_bound(buffers, leads)
    best_order = min(_orders(buffers), key=lambda order: height(buffers, _place(buffers, rivals, order)))
    best = _place(buffers, rivals, best_order)
    rounds = min(_SEARCH_ROUNDS, _SEARCH_COMPARISONS // len(buffers) ** 2) if len(buffers) > 1 else 0
    chance = random.Random(0)  # A fixed seed: the same model gives the same plan.
    for _ in range(rounds):
        if height(buffers, best) <= bound:
            break
        order = list(best_order)
        moved = order.pop(chance.randrange(len(order)))
        order.insert(chance.randrange(len(order) + 1), moved)
        offsets = _place(buffers, rivals, order)
        if height(buffers, offsets) <= height(buffers, best):
            best_order, best = order, offsets
    return best


def height(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """Where the highest buffer ends."""
    return max((offset + b.bytes for offset, b in zip(offsets, buffers, strict=True)), default=0)


def lower_bound(buffers: Sequence[Buffer], leads: Leads) -> int:
    """What no placement can be below: the largest sum over the buffers alive in one step, less what pairs of that step can share.

    Outputs of a step are disjoint, and so are its sources; what is shared is therefore the sum over the outputs of what each shares with
    its sources, and that is largest when the sources stand side by side from their smallest lead on.
    """
    shared: dict[int, int] = {}
    for output, pairs in itertools.groupby(sorted(leads, key=lambda p: p[1]), key=lambda p: p[1]):
        sources = [(buffers[s].bytes, leads[s, o]) for s, o in pairs]
        step = buffers[output].first
        shared[step] = shared.get(step, 0) + _shareable(buffers[output].bytes, sources)
    alive = ((n, sum(b.bytes for b in buffers if b.first <= n <= b.last)) for n in {b.first for b in buffers})
    return max((total - shared.get(n, 0) for n, total in alive), default=0)


def _shareable(output: int, sources: Sequence[tuple[int, int]]) -> int:
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


def _place(buffers: Sequence[Buffer], rivals: Sequence[Sequence[_Rival]], order: Sequence[int]) -> list[int]:
    """Each buffer in turn at the lowest offset that nothing placed before forbids."""
    offsets = [-1] * len(buffers)
    for i in order:
        offset = 0
        forbidden = sorted((offsets[r.other] + r.low, offsets[r.other] + r.high) for r in rivals[i] if offsets[r.other] >= 0)
        for low, high in forbidden:
            if low < offset < high:
                offset = high
        offsets[i] = offset
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
