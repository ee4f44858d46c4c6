"""Fine-tuning, the same for every pass: Adam with a cosine down to 0, a fixed shuffle, progress, Ctrl-C."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from edgecompress.compress.data import Data, as_model_inputs, count_samples
from edgecompress.compress.objective import find_objective
from edgecompress.errors import DataError, ModelError
from edgecompress.progress import Progress


@dataclass(frozen=True)
class Training:
    """How a model was trained: optimizer steps, last epoch's mean loss, and where the loss function came from."""

    steps: int
    loss: float
    objective: str


def fit(
    model: keras.Model,
    data: Data,
    *,
    objective_of: keras.Model,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    stage: str,
    progress: Progress,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Training:
    """Train `model` in place.

    Args:
        objective_of: the model whose loss is used; its own compile settings, or its outputs and the labels, say which.
        epochs: >= 1.
        learning_rate: at the first step; it falls along half a cosine to 0 at the last.
        stage: words for `progress`, which counts optimizer steps.

    Raises:
        DataError: there is no training data, no loss follows from its labels, they do not fit the loss, or it became NaN.
        ModelError: the model fixes its batch size.
    """
    if data.train is None:
        raise DataError(f"{stage}: this step trains, and the data has no train", hint="return train=(x, y) from the data function")
    x, y = data.train
    fixed = model.inputs[0].shape[0]
    if fixed is not None:
        raise ModelError(
            f"model {model.name!r} fixes its batch to {fixed}; training takes batches of {batch_size}",
            hint="build it with keras.Input(shape=...), without batch_size",
        )
    objective = find_objective(objective_of, y)
    per_epoch = math.ceil(count_samples(x) / batch_size)
    steps = epochs * per_epoch
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        loss=objective.loss,
        loss_weights=objective.loss_weights,
    )
    try:
        history = model.fit(
            as_model_inputs(model, x),
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
            callbacks=[*callbacks, _Reporter(progress, stage, per_epoch, steps)],
        )
    except (ValueError, TypeError, tf.errors.OpError) as e:
        # The loss may be the user's own, and only Keras knows which labels it takes.
        raise DataError(f"{stage}: Keras cannot train on this data: {_reason(e)}", hint=f"the loss is {objective.source}") from e
    loss = float(history.history["loss"][-1])
    if not math.isfinite(loss):
        raise DataError(f"{stage}: the loss became {loss} while training", hint="lower the step's learning_rate")
    return Training(steps, loss, objective.source)


def copy_model(model: keras.Model) -> keras.Model:
    """The same model with weights of its own; not compiled.

    Raises:
        ModelError: a layer cannot be made again from its configuration.
    """
    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    except (TypeError, ValueError, NotImplementedError, KeyError) as e:
        raise ModelError(
            f"model {model.name!r} cannot be copied: {_reason(e)}", hint="give its custom layers get_config() and from_config()"
        ) from e
    return copy


def _reason(error: Exception) -> str:
    """The telling line of a long message: TensorFlow puts the reason after a trace of its graph."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if not line.startswith(("Graph execution error", "Detected at", "File ", "<"))), lines[0])[:300]


class _Reporter(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships without types
    """Tells `progress` how many optimizer steps are done."""

    def __init__(self, progress: Progress, stage: str, per_epoch: int, steps: int) -> None:
        super().__init__()
        self._progress, self._stage, self._per_epoch, self._steps = progress, stage, per_epoch, steps
        self._start = 0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._progress(self._stage, 0, self._steps)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._start = epoch * self._per_epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._progress(self._stage, self._start + batch + 1, self._steps)
