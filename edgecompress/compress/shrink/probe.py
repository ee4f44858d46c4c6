"""Values inside a network on calibration inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data, calibration_batches
from edgecompress.keras_graph.network import Network, Value
from edgecompress.keras_graph.rebuild import build_model


def read_values(
    model: keras.Model, network: Network, values: Sequence[Value], data: Data, samples: int, stage: str
) -> Iterator[list[NDArray[np.float32]]]:
    """Batch by batch, the arrays of `values`.

    Args:
        model: that the network was read from, with its weights.

    Raises:
        DataError: there are no calibration inputs.
    """
    whole = (network.output_structure, network.output_names)
    network.output_structure, network.output_names = list(values), [f"value_{place}" for place in range(len(values))]
    probe = build_model(network)
    network.output_structure, network.output_names = whole
    for batch in calibration_batches(data, model, samples=samples, stage=stage):
        inputs = keras.tree.pack_sequence_as(probe._inputs_struct, keras.tree.flatten(batch))
        yield [keras.ops.convert_to_numpy(result) for result in keras.tree.flatten(probe(inputs, training=False))]
