"""What fewer bits cost when one layer alone has them.

loss(l, b): the model's loss with layer l on b bits and every other layer in float
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from edgecompress.compress.data import Data, as_model_inputs, calibration_batches
from edgecompress.compress.training.objective import find_objective
from edgecompress.keras_graph.network import Array
from edgecompress.progress import Progress

_BATCH = 128
_STAGE = "measure sensitivity to bits"


@dataclass(frozen=True)
class LayerSensitivity:
    """What fewer bits in one layer cost.

    Attributes:
        losses: the model's loss with this layer alone on `bits[i]` bits.
    """

    layer: str
    bits: tuple[int, ...]
    losses: tuple[float, ...]


def measure_sensitivity(
    model: keras.Model,
    kernels: Mapping[str, Sequence[Array]],
    bits: Sequence[int],
    *,
    data: Data,
    objective_of: keras.Model,
    samples: int,
    progress: Progress,
) -> list[LayerSensitivity]:
    """The loss for each layer and number of bits; the validation data's, or without labels the squared change of the outputs.

    Args:
        model: prepared, float; its kernels are changed and put back.
        kernels: by layer, what its kernel becomes at each of `bits`.
    """
    loss = _loss_function(model, data, objective_of, samples)
    found, total = [], len(kernels) * len(bits)
    for row, (name, versions) in enumerate(kernels.items()):
        variable = model.get_layer(name).weights[0]
        kept = variable.numpy()
        losses = []
        for column, version in enumerate(versions):
            progress(_STAGE, row * len(bits) + column, total)
            variable.assign(version)
            losses.append(loss())
        variable.assign(kept)
        found.append(LayerSensitivity(name, tuple(bits), tuple(losses)))
    progress(_STAGE, total, total)
    return found


def _loss_function(model: keras.Model, data: Data, objective_of: keras.Model, samples: int) -> Callable[[], float]:
    x: Any
    y: Any
    if data.validation is not None:
        inputs, labels = data.validation
        x, y = _first(as_model_inputs(model, inputs), samples), _first(labels, samples)
        objective = find_objective(objective_of, data)
        model.compile(loss=objective.loss, loss_weights=objective.loss_weights)
    else:
        batches = list(calibration_batches(data, model, samples=samples, batch_size=_BATCH, stage="bits: mixed"))
        x = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
        y = model.predict(x, batch_size=_BATCH, verbose=0)
        model.compile(loss="mean_squared_error")
    return lambda: float(model.evaluate(x, y, batch_size=_BATCH, verbose=0, return_dict=True)["loss"])


def _first(structure: Any, samples: int) -> Any:  # noqa: ANN401
    return keras.tree.map_structure(lambda array: array[:samples], structure)
