"""What each unit's activation does on real inputs: its mean size, its share of zeros, its spread over samples.

The activation of a unit is taken behind its BatchNormalization and nonlinearity, where a ReLU has made its zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgecompress.compress.data import Data, calibration_batches
from edgecompress.compress.saliency.criteria import Floats
from edgecompress.compress.saliency.run_network import activated_value, calls_by_path, open_model, require_calls, run_calls
from edgecompress.keras_graph.network import Call
from edgecompress.progress import Progress

STAGE = "read activations"


@dataclass(eq=False)
class ActivationRecord:
    """Sums over all samples and positions of one layer's activation.

    Attributes:
        sizes: [units] sum |a|.
        zeros: [units] how many are exactly 0.
        count: activations of one unit.
        pooled: one [samples, units] a batch: each sample's mean over positions.
    """

    sizes: Floats | float = 0.0
    zeros: Floats | float = 0.0
    count: int = 0
    pooled: list[Floats] = field(default_factory=list)

    def add(self, activation: Any) -> None:  # noqa: ANN401  a tensor [n, ..., units]
        """One batch."""
        places = list(range(1, activation.shape.rank - 1))
        batch = [0, *places]
        self.sizes = self.sizes + np.asarray(tf.reduce_sum(tf.abs(activation), batch), np.float64)
        self.zeros = self.zeros + np.asarray(tf.math.count_nonzero(activation == 0, batch), np.float64)
        self.count += int(tf.size(activation)) // int(activation.shape[-1])
        self.pooled.append(np.asarray(tf.reduce_mean(activation, places) if places else activation, np.float64))

    @property
    def mean_size(self) -> Floats:
        """[units] mean |a|."""
        return np.asarray(self.sizes / self.count)

    @property
    def nonzero_share(self) -> Floats:
        """[units] 1 - share of zeros: a unit that is mostly 0 goes first."""
        return np.asarray(1.0 - self.zeros / self.count)

    @property
    def pooled_samples(self) -> Floats:
        """[samples, units]."""
        return np.concatenate(self.pooled)


def record_activations(
    model: keras.Model, paths: Sequence[str], data: Data, *, samples: int, batch_size: int, progress: Progress
) -> dict[str, ActivationRecord]:
    """Run the calibration inputs through the model and sum up the activation of each layer; a shared layer's uses together.

    Raises:
        RecipeError: a layer stands inside another one.
        DataError: there are no inputs to read.
    """
    network = open_model(model)
    uses = calls_by_path(model, network)
    watched = {activated_value(network, call): path for path in paths for call in require_calls(uses, path, "saliency")}
    records = {path: ActivationRecord() for path in paths}

    def observe(call: Call, inputs: list[Any], outputs: list[Any]) -> None:
        for value, tensor in zip(call.outputs, outputs, strict=True):
            if value in watched:
                records[watched[value]].add(tensor)

    batches = list(calibration_batches(data, model, samples=samples, batch_size=batch_size, stage=STAGE))
    for index, batch in enumerate(batches):
        progress(STAGE, index, len(batches))
        run_calls(network, batch, observe)
    progress(STAGE, len(batches), len(batches))
    return records
