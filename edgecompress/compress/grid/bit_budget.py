"""How many bits each layer gets under one budget.

Starting from the most bits everywhere, the layer whose next bit costs the least loss for what it saves gives it up, until the budget is
met; room that a large layer's last step left goes back to others. Losses of single layers add up only roughly (Dong et al. 2019 rank
layers by second derivatives instead).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import RecipeError


def choose_bits(losses: NDArray[np.float64], costs: NDArray[np.float64], budget: float) -> list[int]:
    """For each layer the column to take.

    Args:
        losses: [layers, B], fewest bits first.
        costs: [layers, B] rising along each row.
        budget: of the sum of the chosen costs.

    Raises:
        RecipeError: the fewest bits everywhere cost more.
    """
    if costs[:, 0].sum() > budget:
        raise RecipeError(
            f"bits: mixed: the fewest bits in every layer come to {costs[:, 0].sum():g}, above the budget of {budget:g}",
            hint="raise the budget or lower `lowest`",
        )
    # Noise may make fewer bits look better than more: a layer's loss never falls as bits go.
    rising = np.maximum.accumulate(losses[:, ::-1], axis=1)[:, ::-1]
    chosen = [costs.shape[1] - 1] * len(costs)
    while _cost(costs, chosen) > budget:
        chosen[_cheapest(rising, costs, chosen)] -= 1
    while (row := _worthiest(rising, costs, chosen, budget)) is not None:
        chosen[row] += 1
    return chosen


def _cheapest(losses: NDArray[np.float64], costs: NDArray[np.float64], chosen: list[int]) -> int:
    """The layer that gives up a bit for the least loss a unit of cost."""
    prices = {row: _price(losses, costs, row, column - 1) for row, column in enumerate(chosen) if column > 0}
    return min(prices, key=lambda row: prices[row])


def _worthiest(losses: NDArray[np.float64], costs: NDArray[np.float64], chosen: list[int], budget: float) -> int | None:
    """The layer that gains most from a bit back, among those that still fit."""
    room = budget - _cost(costs, chosen)
    prices = {
        row: _price(losses, costs, row, column)
        for row, column in enumerate(chosen)
        if column + 1 < costs.shape[1] and costs[row, column + 1] - costs[row, column] <= room
    }
    best = max(prices, key=lambda row: prices[row], default=None)
    return best if best is not None and prices[best] > 0 else None


def _price(losses: NDArray[np.float64], costs: NDArray[np.float64], row: int, column: int) -> float:
    """Loss between a column and the next, for each unit of cost between them."""
    return float((losses[row, column] - losses[row, column + 1]) / max(costs[row, column + 1] - costs[row, column], 1e-12))


def _cost(costs: NDArray[np.float64], chosen: list[int]) -> float:
    return float(sum(costs[row, column] for row, column in enumerate(chosen)))
