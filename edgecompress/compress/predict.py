"""A saved Keras model's outputs on given inputs: the top rung of `edgecompress verify`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import as_model_inputs
from edgecompress.compress.load import load_keras
from edgecompress.convert.export import read_signature
from edgecompress.errors import ModelError

Sample = Sequence[NDArray[np.float32]]


def predict_outputs(path: Path, samples: Sequence[Sample]) -> list[list[NDArray[np.float32]]]:
    """Outputs of the .keras model in `path`, one list per sample.

    Args:
        samples: one array per model input, each with a batch axis of 1.

    Raises:
        ModelError: the file is no Keras model, or takes other inputs.
    """
    # Keras finds a saved layer's class only where the module that defines it was imported.
    importlib.import_module("edgecompress.compress.int8.fake_quant")
    model = load_keras(path)
    signature = read_signature(model)
    came = [array.shape[1:] for array in samples[0]]
    if came != list(signature.shapes):
        raise ModelError(
            f"{path}: takes inputs of shape {[list(s) for s in signature.shapes]}, the .tflite {[list(s) for s in came]}",
            hint="give the Keras model that this .tflite was converted from",
        )
    columns = tuple(np.concatenate(column) for column in zip(*samples, strict=True))
    outputs = model.predict(as_model_inputs(model, columns if len(columns) > 1 else columns[0]), verbose=0, batch_size=32)
    import keras

    flat = [np.asarray(output) for output in keras.tree.flatten(outputs)]
    return [[output[i : i + 1] for output in flat] for i in range(len(samples))]
