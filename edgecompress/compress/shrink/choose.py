"""Which channels go, to an amount or a budget.

    layer    every family loses the same share
    global   the lowest s(g) / mean of its family, anywhere in the network
    saving   the lowest s(g) / mean of its family / (what the removal of g saves)

Each ranking is a row of choices that grow; the first within the budget is found by bisection on exact costs. Rounding to multiples then
leaves room, which is given back: the best channels that still fit return (a greedy knapsack). Scores per cost saved follow Molchanov et al.
2017 ("Pruning convolutional neural networks for resource efficient inference", section 2.2, FLOPs regularization), as a quotient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.shrink.costs import Costs, Kept
from edgecompress.compress.shrink.families import Family
from edgecompress.keras_graph.channels import Ids

_SHARES = 1000
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Ranked:
    """A family with its groups in the order in which they go.

    Args:
        roots: [n] lowest score first.
        keys: [n] what they compete with against other families; rising.
    """

    family: Family
    roots: Ids
    keys: NDArray[np.float64]


def rank(
    families: Sequence[Family],
    scores: dict[int, float],
    costs: Costs,
    *,
    ranking: Literal["layer", "global", "saving"],
    normalize: Literal["mean", "none"],
) -> list[Ranked]:
    """Order each family's groups, lowest first; equal scores keep the model's order."""
    ranked = []
    for family in families:
        values = np.array([scores.get(int(root), 0.0) for root in family.roots])
        if normalize == "mean":
            size = np.abs(values).mean()
            values = values / size if size > 0 else values
        if ranking == "saving":
            saved = costs.saved_by(family.roots)
            # A channel that saves nothing goes last.
            values = np.where(saved > 0, values / np.maximum(saved, np.finfo(np.float64).tiny), np.inf)
        order = np.argsort(values, kind="stable")
        ranked.append(Ranked(family, family.roots[order], values[order]))
    return ranked


def choose_kept(ranked: Sequence[Ranked], costs: Costs, budget: float, ranking: Literal["layer", "global", "saving"]) -> Kept | None:
    """The groups that stay for a cost of at most `budget`; None when even the smallest network costs more."""
    counts = _by_share(ranked) if ranking == "layer" else _by_threshold(ranked)
    limit = budget * (1 + _ROUNDING)
    low, high = 0, counts.steps
    if costs.total(_kept(ranked, costs, counts.at(high))) > limit:
        return None
    while low < high:
        middle = (low + high) // 2
        if costs.total(_kept(ranked, costs, counts.at(middle))) <= limit:
            high = middle
        else:
            low = middle + 1
    return _give_back(ranked, costs, limit, counts.at(high))


@dataclass(frozen=True, eq=False)
class _Counts:
    """Groups of each family that stay, at step 0 (all) to `steps` (as few as may be)."""

    steps: int
    at: Callable[[int], list[int]]


def _by_share(ranked: Sequence[Ranked]) -> _Counts:
    def at(step: int) -> list[int]:
        return [one.family.kept(round(len(one.roots) * (1 - step / _SHARES))) for one in ranked]

    return _Counts(_SHARES, at)


def _by_threshold(ranked: Sequence[Ranked]) -> _Counts:
    thresholds = np.unique(np.concatenate([one.keys for one in ranked])) if ranked else np.zeros(0)

    def at(step: int) -> list[int]:
        if step == 0:
            return [len(one.roots) for one in ranked]
        return [one.family.kept(int(np.count_nonzero(one.keys > thresholds[step - 1]))) for one in ranked]

    return _Counts(len(thresholds), at)


def _kept(ranked: Sequence[Ranked], costs: Costs, counts: Sequence[int]) -> Kept:
    kept = costs.everything()
    for one, count in zip(ranked, counts, strict=True):
        kept[one.roots[: len(one.roots) - count]] = False
    return kept


def _give_back(ranked: Sequence[Ranked], costs: Costs, limit: float, counts: list[int]) -> Kept:
    """Let the best removed channels return, a step of a family at a time, while the cost stays within the limit."""
    kept = _kept(ranked, costs, counts)
    open_ = set(range(len(ranked)))
    while open_:
        best = max(sorted(open_), key=lambda place: _next_key(ranked[place], counts[place]))
        one, count = ranked[best], counts[best]
        more = one.family.kept(count + 1)
        returning = one.roots[len(one.roots) - more : len(one.roots) - count]
        trial = kept.copy()
        trial[returning] = True
        if more > count and costs.total(trial) <= limit:
            kept, counts[best] = trial, more
        else:
            open_.discard(best)
    return kept


def _next_key(one: Ranked, count: int) -> float:
    """Score of the best group that went; none left to return: the lowest."""
    return float(one.keys[len(one.roots) - count - 1]) if count < len(one.roots) else -np.inf
