"""Second moments of layers' outputs on calibration data, which tell low rank what matters to the layer's readers."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from edgecompress.compress.data import Data, calibration_batches
from edgecompress.compress.lowrank.methods import Moments
from edgecompress.compress.lowrank.sites import Site
from edgecompress.keras_graph.decompose import split_activations
from edgecompress.keras_graph.network import Array, Value
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.keras_graph.weighted import bias_of
from edgecompress.progress import Progress

_BATCH_SIZE = 32


def measure_moments(model: keras.Model, sites: Sequence[Site], data: Data, *, samples: int, progress: Progress) -> list[Moments]:
    """Mean and covariance of each layer's outputs before its activation, over all places and uses.

    Raises:
        DataError: there is no calibration data.
    """
    sums = [_Sums(site) for site in sites]
    watched, readers = _watch(model, sites)
    done = 0
    progress("lowrank: responses", 0, samples)
    for batch in calibration_batches(data, model, samples=samples, batch_size=_BATCH_SIZE, stage="lowrank: criterion 'responses'"):
        outputs = keras.tree.flatten(watched(batch, training=False))
        for reader, output in zip(readers, outputs, strict=True):
            sums[reader].add(keras.ops.convert_to_numpy(output))
        done += len(outputs[0])
        progress("lowrank: responses", min(done, samples), samples)
    return [entry.moments() for entry in sums]


def _watch(model: keras.Model, sites: Sequence[Site]) -> tuple[keras.Model, list[int]]:
    """A model that gives every use of every site, and which site each output is of."""
    network = read_network(model)
    split_activations(network)
    number = {site.operator.name: index for index, site in enumerate(sites)}
    calls = [call for call in network.calls if call.operator.name in number]
    values: list[Value] = [call.output for call in calls]
    network.output_structure = values
    network.output_names = [f"watched_{index}" for index in range(len(values))]
    return build_model(network), [number[call.operator.name] for call in calls]


class _Sums:
    """Sums over places of y and y y', in double precision."""

    def __init__(self, site: Site) -> None:
        outputs = site.geometry.outputs
        self._bias = bias_of(site.operator)
        self._has_bias = len(site.operator.weights or []) == 2
        self._count = 0
        self._sum = np.zeros(outputs)
        self._products = np.zeros((outputs, outputs))

    def add(self, output: Array) -> None:
        places = output.reshape(-1, output.shape[-1]).astype(np.float64) - self._bias
        self._count += len(places)
        self._sum += places.sum(axis=0)
        self._products += places.T @ places

    def moments(self) -> Moments:
        count = max(self._count, 1)
        mean, covariance = self._sum / count, self._products / count
        return Moments(mean, covariance - np.outer(mean, mean) if self._has_bias else covariance)
