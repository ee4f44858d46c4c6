"""Which residual blocks go: those whose branch adds least on real inputs.

effect = |branch| / |skip + branch|, root mean squares over calibration inputs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from edgecompress.compress.data import Data, calibration_batches
from edgecompress.keras_graph.network import Network
from edgecompress.keras_graph.rebuild import build_model
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
    whole = (network.output_structure, network.output_names)
    network.output_structure, network.output_names = values, [f"value_{place}" for place in range(len(values))]
    probe = build_model(network)
    network.output_structure, network.output_names = whole
    squares, batches = np.zeros(len(values)), 0
    for batch in calibration_batches(data, model, samples=samples, stage="shrink"):
        results = keras.tree.flatten(probe(batch, training=False))
        squares += [float(np.mean(np.square(keras.ops.convert_to_numpy(result), dtype=np.float64))) for result in results]
        batches += 1
    sizes = np.sqrt(squares / max(batches, 1)).reshape(-1, 2)
    return [float(branch / max(total, _TINY)) for branch, total in sizes]
