"""Which residual blocks go: those whose branch adds least on real inputs.

effect = |branch| / |skip + branch|, root mean squares over calibration inputs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from edgecompress.compress.data import Data
from edgecompress.compress.shrink.probe import read_values
from edgecompress.keras_graph.network import Network
from edgecompress.keras_graph.residual import ResidualBlock

_TINY = 1e-30


@dataclass(frozen=True)
class RemovedBlock:
    """A residual branch that is gone.

    Attributes:
        block: the name of its addition.
        skip: `identity` leaves the block's input; `projection` leaves the layers on the skip.
        effect: of the branch before, 0 to 1 or a little above.
        layers: that went.
    """

    block: str
    skip: Literal["identity", "projection"]
    effect: float
    layers: tuple[str, ...]


def measure_effects(model: keras.Model, network: Network, blocks: Sequence[ResidualBlock], data: Data, samples: int) -> list[float]:
    """The effect of each block's branch.

    Raises:
        DataError: there are no calibration inputs.
    """
    values = [value for block in blocks for value in (block.branch, block.addition.output)]
    squares, batches = np.zeros(len(values)), 0
    for arrays in read_values(model, network, values, data, samples, "shrink"):
        squares += [float(np.mean(np.square(array, dtype=np.float64))) for array in arrays]
        batches += 1
    sizes = np.sqrt(squares / max(batches, 1)).reshape(-1, 2)
    return [float(branch / max(total, _TINY)) for branch, total in sizes]
