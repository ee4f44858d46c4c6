"""Fine-tuning, the same for every pass: Adam with a cosine down to 0, a fixed shuffle, progress, Ctrl-C."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras

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
        DataError: there is no training data, no loss follows from its labels, or the loss became NaN.
    """
    if data.train is None:
        raise DataError(f"{stage}: this step trains, and the data has no train", hint="return train=(x, y) from the data function")
    x, y = data.train
    objective = find_objective(objective_of, y)
    per_epoch = math.ceil(count_samples(x) / batch_size)
    steps = epochs * per_epoch
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        loss=objective.loss,
        loss_weights=objective.loss_weights,
    )
    history = model.fit(
        as_model_inputs(model, x),
        y,
        batch_size=batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=[*callbacks, _Reporter(progress, stage, per_epoch, steps)],
    )
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
        reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
        raise ModelError(
            f"model {model.name!r} cannot be copied: {reason}", hint="give its custom layers get_config() and from_config()"
        ) from e
    return copy


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
