"""How good a model is on labelled data, by one rule for Keras models and .tflite files: accuracy, or a regression's mean absolute error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data, as_model_inputs
from edgecompress.compress.objective import Task, find_task, gives_probabilities
from edgecompress.errors import DataError

if TYPE_CHECKING:
    from keras import Model

_PREDICT_BATCH = 256


@dataclass(frozen=True)
class Score:
    """One number on one set; accuracy is a fraction, higher is better; an error is lower the better.

    Attributes:
        n: samples.
    """

    metric: str
    value: float
    n: int


def score_outputs(outputs: NDArray[np.floating], labels: NDArray[np.generic], *, probabilities: bool) -> Score:
    """Compare outputs with labels as the labels' task says (see `objective`).

    Args:
        outputs: [n, ..., C], real values.
        probabilities: a BINARY output above 0.5 means 1; otherwise it is a logit, and above 0 means 1.

    Raises:
        DataError: the labels' shape does not belong to the outputs.
    """
    task = find_task(labels, tuple(outputs.shape[1:]))
    match task:
        case Task.CLASSES:
            hits = outputs.argmax(axis=-1) == labels.reshape(outputs.shape[:-1])
        case Task.ONE_HOT:
            hits = outputs.argmax(axis=-1) == labels.argmax(axis=-1)
        case Task.BINARY:
            hits = (outputs > (0.5 if probabilities else 0.0)) == (labels.reshape(outputs.shape) == 1)
        case Task.REGRESSION:
            error = np.abs(outputs - labels.reshape(outputs.shape).astype(np.float64))
            return Score("mean_absolute_error", float(error.mean()), len(labels))
    return Score("accuracy", float(np.mean(hits)), len(labels))


def score_model(model: Model, data: Data) -> Score | None:
    """A Keras model's score on the validation data; None without validation labels, or for several outputs."""
    if data.validation is None:
        return None
    x, y = data.validation
    if len(model.outputs) != 1 or not isinstance(y, np.ndarray):
        return None
    outputs = _predict(model, as_model_inputs(model, x), len(y))
    try:
        return score_outputs(outputs, y, probabilities=gives_probabilities(model))
    except DataError:
        # A loss of the user's own may use labels that no table of ours knows.
        return None


def _predict(model: Model, inputs: Any, count: int) -> NDArray[np.floating]:  # noqa: ANN401  an array, or a structure of them
    """The model's output for `count` samples, in batches of one size: a short last one would be traced anew."""
    import keras

    batch = model.inputs[0].shape[0] or min(count, _PREDICT_BATCH)
    whole = -(-count // batch) * batch
    padded = keras.tree.map_structure(lambda array: np.resize(array, (whole, *array.shape[1:])), inputs)
    with _without_retracing_warnings():
        return np.asarray(model.predict(padded, batch_size=batch, verbose=0))[:count]


@contextmanager
def _without_retracing_warnings() -> Iterator[None]:
    """TensorFlow takes the predictions of several models for one function traced too often."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
