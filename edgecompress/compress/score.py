"""How good a model is on labelled data, by one rule for Keras models and .tflite files: the user's metric, or accuracy, or a regression's
mean absolute error."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data, Labels, as_model_inputs, count_samples
from edgecompress.compress.training.objective import Task, find_task, gives_probabilities
from edgecompress.errors import DataError

if TYPE_CHECKING:
    from keras import Model

Outputs: TypeAlias = NDArray[np.floating[Any]] | Sequence[NDArray[np.floating[Any]]]
"""What a model gives: one array [n, ...], or a list with one for each of its outputs."""

_PREDICT_BATCH = 256
_METRIC_HINT = "it is called with (labels, outputs), numpy arrays of all validation samples, and returns a number"
_ACCURACY = ("accuracy", "acc")
"""As in `compile`, where these names mean the accuracy that the labels imply."""


@dataclass(frozen=True)
class Score:
    """One number on one set.

    Attributes:
        value: accuracy is a fraction.
        n: samples.
        higher_is_better: False for errors.
    """

    metric: str
    value: float
    n: int
    higher_is_better: bool = True

    def loss_against(self, other: Score) -> float:
        """By how much this one is worse than `other`; negative when it is better."""
        return other.value - self.value if self.higher_is_better else self.value - other.value


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
            return Score("mean_absolute_error", float(error.mean()), len(labels), higher_is_better=False)
    return Score("accuracy", float(np.mean(hits)), len(labels))


def score_of(outputs: Outputs, data: Data, *, probabilities: bool) -> Score | None:
    """Outputs for all validation inputs, scored as the data says; None when its labels allow none.

    Args:
        outputs: [n, ..., C], or one such array for each output of the model.

    Raises:
        DataError: the user's metric failed.
    """
    if data.validation is None:
        return None
    labels = data.validation[1]
    if data.metric is not None and not (data.metric in _ACCURACY and _are_classes(outputs, labels)):
        return _user_score(outputs, labels, data)
    if not isinstance(labels, np.ndarray) or not isinstance(outputs, np.ndarray):
        return None
    try:
        return score_outputs(outputs, labels, probabilities=probabilities)
    except DataError:
        # A loss of the user's own may use labels that no table of ours knows.
        return None


def _are_classes(outputs: Outputs, labels: Labels) -> bool:
    """Whether the labels say which class each output should tell."""
    if not isinstance(labels, np.ndarray) or not isinstance(outputs, np.ndarray):
        return False
    try:
        return find_task(labels, tuple(outputs.shape[1:])) is not Task.REGRESSION
    except DataError:
        return False


def score_model(model: Model, data: Data) -> Score | None:
    """A Keras model's score on the validation data; None without validation labels that allow one."""
    if data.validation is None:
        return None
    x, y = data.validation
    outputs = _predict(model, as_model_inputs(model, x), count_samples(y))
    return score_of(outputs, data, probabilities=gives_probabilities(model))


def _user_score(outputs: Outputs, labels: Labels, data: Data) -> Score:
    import keras

    metric = _metric_of(data.metric)
    name = str(getattr(metric, "name", None) or getattr(metric, "__name__", None) or type(metric).__name__)
    try:
        if isinstance(metric, keras.metrics.Metric):
            metric.reset_state()
            metric.update_state(labels, outputs)
            value = float(metric.result())
        else:
            value = float(np.mean(metric(labels, outputs)))
    except Exception as e:  # the metric is the user's code, and raises whatever it raises
        raise DataError(
            f"the metric {name!r} failed on the validation data: {type(e).__name__}: {(str(e).splitlines() or [''])[0]}", hint=_METRIC_HINT
        ) from e
    if not math.isfinite(value):
        raise DataError(f"the metric {name!r} is {value} on the validation data; expected a finite number", hint=_METRIC_HINT)
    return Score(name, value, count_samples(labels), higher_is_better=data.metric_goal == "max")


def _metric_of(metric: Any) -> Any:  # noqa: ANN401  a Keras metric, its class or name, or a function
    import keras

    if isinstance(metric, type) and issubclass(metric, keras.metrics.Metric):
        return metric()
    if not isinstance(metric, str):
        return metric
    try:
        return keras.metrics.get(metric)
    except ValueError as e:
        raise DataError(
            f"metric is {metric!r}, which Keras does not know", hint="give one of keras.metrics, its name, or a function (labels, outputs)"
        ) from e


def _predict(model: Model, inputs: Any, count: int) -> Outputs:  # noqa: ANN401  an array, or a structure of them
    """The model's outputs for `count` samples, in batches of one size: a short last one would be traced anew."""
    import keras

    batch = model.inputs[0].shape[0] or min(count, _PREDICT_BATCH)
    whole = -(-count // batch) * batch
    padded = keras.tree.map_structure(lambda array: np.resize(array, (whole, *array.shape[1:])), inputs)
    with _without_retracing_warnings():
        outputs = keras.tree.flatten(model.predict(padded, batch_size=batch, verbose=0))
    arrays = [np.asarray(output)[:count] for output in outputs]
    return arrays[0] if len(arrays) == 1 else arrays


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
