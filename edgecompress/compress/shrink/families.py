"""Sets of channels that compete with each other: those that the same layers make.

Channels of one family are interchangeable for costs, so that a choice is first how many of each family stay, then which.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.channels import Ids
from edgecompress.keras_graph.groups import Groups, makers
from edgecompress.keras_graph.network import Operator


@dataclass(frozen=True, eq=False)
class Family:
    """Groups made by the same layers.

    Args:
        operators: that make them.
        roots: [n] the groups.
        width: channels of one group in a layer, at most.
        step: groups that go at a time.
        least: groups that stay.
    """

    operators: tuple[Operator, ...]
    roots: Ids
    width: int
    step: int
    least: int

    def kept(self, wished: int) -> int:
        """The number of groups that may stay nearest above `wished`: a multiple of `step`, or all."""
        whole = len(self.roots)
        return min(max(-(-wished // self.step) * self.step, self.least), whole)


def find_families(groups: Groups, candidates: Collection[int], *, multiple_of: int, minimum: int, most: float) -> list[Family]:
    """Families of the groups that may go, in the model's order.

    Args:
        multiple_of: channels that a layer keeps come in multiples of this.
        minimum: channels of a family that stay at least.
        most: the largest share of a family that may go.
    """
    members: dict[int, list[tuple[Operator, int]]] = {}
    for operator, ids in makers(groups.channels).items():
        roots, counts = np.unique(ids, return_counts=True)
        for root, count in zip(roots.tolist(), counts.tolist(), strict=True):
            if root in candidates:
                members.setdefault(root, []).append((operator, count))
    families: dict[tuple[tuple[Operator, int], ...], list[int]] = {}
    for root in sorted(members):
        families.setdefault(tuple(members[root]), []).append(root)
    found = []
    for made, roots_of in families.items():
        width = max(count for _, count in made)
        step = multiple_of // math.gcd(multiple_of, width)
        smallest = max(-(-minimum // width), math.ceil(len(roots_of) * (1.0 - most) - 1e-9), 1)
        least = min(-(-smallest // step) * step, len(roots_of))
        found.append(Family(tuple(operator for operator, _ in made), np.asarray(roots_of, np.int64), width, step, least))
    return found


def sum_scores(groups: Groups, scores: dict[Operator, NDArray[np.float64]]) -> dict[int, float]:
    """Each group's score: the sum over its channels in every layer that was scored."""
    totals: dict[int, float] = {}
    for operator, values in scores.items():
        ids = groups.made_by(operator)
        for root, value in zip(ids.tolist(), values.tolist(), strict=True):
            totals[root] = totals.get(root, 0.0) + value
    return totals
