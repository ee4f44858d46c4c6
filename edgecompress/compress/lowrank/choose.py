"""Which split each layer gets, from what its splits cost and lose.

energy   the fewest multiply-accumulates among splits that lose at most 1 - energy
ratio    the least loss among splits within ratio times the layer's multiply-accumulates
budget   over all layers: the least sum of losses within the budget, by walking down each layer's lower convex hull of (cost, loss)
         in order of loss per cost saved (the greedy answer to min sum loss_l + t * sum cost_l, Lagrange's t growing until it fits)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgecompress.compress.lowrank.methods import Point

# Shares are sums in double precision.
_ROUNDING = 1e-12


def cheapest(points: Sequence[Point], energy: float) -> Point | None:
    """The split of fewest multiply-accumulates that keeps the energy; None when none does."""
    enough = [point for point in points if point.lost <= 1.0 - energy + _ROUNDING]
    return min(enough, key=lambda point: (point.macs, point.lost), default=None)


def best_within(points: Sequence[Point], macs: float) -> Point | None:
    """The split that loses least for at most so many multiply-accumulates; None when none is that cheap."""
    affordable = [point for point in points if point.macs <= macs]
    return min(affordable, key=lambda point: (point.lost, point.macs), default=None)


@dataclass(frozen=True)
class Choice:
    """What a budget leads to.

    Attributes:
        points: of each layer; None leaves it whole.
        cost: of all layers together.
    """

    points: tuple[Point | None, ...]
    cost: int


def distribute(layers: Sequence[Sequence[Point]], whole: Sequence[int], allowed: float, cost_of: Callable[[Point], int]) -> Choice:
    """Splits whose cost sums to at most `allowed`, or the cheapest there are.

    Args:
        layers: the splits of each layer.
        whole: cost of each layer as it is, in the units of `cost_of`.
    """
    hulls = [_hull(points, cost, cost_of) for points, cost in zip(layers, whole, strict=True)]
    steps = [step for layer, hull in enumerate(hulls) for step in _steps(layer, hull, whole[layer], cost_of)]
    chosen: list[Point | None] = [None] * len(layers)
    total = sum(whole)
    for _, layer, point, saved in sorted(steps, key=lambda step: step[0]):
        if total <= allowed:
            break
        chosen[layer] = point
        total -= saved
        if total <= allowed:
            # The last step may have saved more than was needed: the layer's best split that still fits.
            room = allowed - total + cost_of(point)
            chosen[layer] = best = min((p for p in layers[layer] if cost_of(p) <= room), key=lambda p: (p.lost, cost_of(p)))
            total += cost_of(best) - cost_of(point)
    return Choice(tuple(chosen), total)


def _hull(points: Sequence[Point], whole: int, cost_of: Callable[[Point], int]) -> list[Point]:
    """Splits on the lower convex hull of (cost, loss) that starts at the whole layer, dearest first."""
    hull: list[Point] = []
    for point in sorted(points, key=lambda point: (-cost_of(point), -point.lost)):
        if cost_of(point) >= whole:
            continue
        while hull and _slope(hull[-2] if len(hull) > 1 else None, hull[-1], whole, cost_of) > _slope(hull[-1], point, whole, cost_of):
            hull.pop()
        hull.append(point)
    return hull


def _slope(first: Point | None, second: Point, whole: int, cost_of: Callable[[Point], int]) -> float:
    """Loss per cost saved from `first` (None: the whole layer) to `second`."""
    cost, lost = (whole, 0.0) if first is None else (cost_of(first), first.lost)
    saved = cost - cost_of(second)
    return (second.lost - lost) / saved if saved > 0 else (float("inf") if second.lost > lost else float("-inf"))


def _steps(layer: int, hull: Sequence[Point], whole: int, cost_of: Callable[[Point], int]) -> list[tuple[float, int, Point, int]]:
    """(loss per cost saved, layer, split, cost saved) along one hull; the ratios rise, so that sorting keeps their order."""
    before: Sequence[Point | None] = [None, *hull]
    return [
        (_slope(first, second, whole, cost_of), layer, second, (whole if first is None else cost_of(first)) - cost_of(second))
        for first, second in zip(before, hull, strict=False)
    ]
