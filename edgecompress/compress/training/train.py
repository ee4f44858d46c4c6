"""Fine-tuning, the same for every pass: Adam with a cosine down to 0, a fixed shuffle, progress, Ctrl-C.

Zeros that are there at the start stay (`keep_zeros`), and a teacher helps when the settings name one (`distill.lesson`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import keras

from edgecompress.compress.data import Data, Pair, as_model_inputs, count_samples
from edgecompress.compress.distill.lesson import Lesson
from edgecompress.compress.stream import Stream
from edgecompress.compress.training.grouped import groups_apart
from edgecompress.compress.training.keep_zeros import ZeroKeepingAdam, zero_masks
from edgecompress.compress.training.objective import find_objective
from edgecompress.compress.training.trainee import LossTerm, make_trainee
from edgecompress.compress.training.user_code import first_reason, loss_errors_named
from edgecompress.errors import DataError, ModelError
from edgecompress.progress import Progress
from edgecompress.recipe import Training

__all__ = ["LossTerm", "Trained", "copy_model", "fit"]


@dataclass(frozen=True)
class Trained:
    """How a model was trained: optimizer steps, last epoch's mean loss, and where the loss function came from."""

    steps: int
    loss: float
    objective: str


def fit(
    model: keras.Model,
    data: Data,
    *,
    objective_of: keras.Model,
    training: Training,
    stage: str,
    progress: Progress,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    original: keras.Model | None = None,
    loss_terms: Sequence[LossTerm] = (),
) -> Trained:
    """Train `model` in place: Adam, whose rate falls along half a cosine to 0 at the last step.

    Args:
        objective_of: the model whose loss is used; its own compile settings, or its outputs and the labels, say which.
        training: epochs >= 1.
        stage: words for `progress`, which counts optimizer steps.
        original: the model that a recipe began with: the default teacher; `objective_of` when left out.
        loss_terms: added to the loss.

    Raises:
        DataError: there is no training data, no loss follows from its labels, they do not fit the loss, or it became NaN.
        ModelError: the model fixes its batch size, or a teacher does not fit it.
        RecipeError: a layer that is paired with a teacher's does not exist.
    """
    if data.train is None:
        raise DataError(f"{stage}: this step trains, and the data has no train", hint="return train=(x, y) from the data function")
    fixed = model.inputs[0].shape[0]
    if fixed is not None:
        raise ModelError(
            f"model {model.name!r} fixes its batch to {fixed}; training takes batches of {training.batch_size}",
            hint="build it with keras.Input(shape=...), without batch_size",
        )
    objective = find_objective(objective_of, data)
    batches = _batches_of(model, data.train, training.batch_size)
    steps = training.epochs * batches.per_epoch
    lesson = None
    if training.distill is not None:
        lesson = Lesson(model, training.distill, original=original or objective_of, loss=objective.loss)
    trainee = make_trainee(model)
    trainee.study(lesson, loss_terms)
    schedule = keras.optimizers.schedules.CosineDecay(training.learning_rate, steps)
    trainee.compile(optimizer=ZeroKeepingAdam(schedule, zero_masks(model)), loss=objective.loss, loss_weights=objective.loss_weights)
    reporter = _Reporter(progress, stage, batches.per_epoch, steps)
    with groups_apart(), lesson.listening() if lesson else nullcontext(), loss_errors_named(stage, objective.source):
        history = trainee.fit(**batches.arguments, epochs=training.epochs, verbose=0, callbacks=[*callbacks, reporter])
    # The steps that follow, and a saved file, know the loss from the model.
    model.compile(loss=objective.loss, loss_weights=objective.loss_weights)
    loss = float(history.history["loss"][-1])
    if not math.isfinite(loss):
        raise DataError(f"{stage}: the loss became {loss} while training", hint="lower the step's learning_rate")
    return Trained(steps, loss, f"{objective.source}; {lesson.description}" if lesson else objective.source)


@dataclass(frozen=True, eq=False)
class _Batches:
    """What `model.fit` is given, and how many optimizer steps an epoch has."""

    arguments: dict[str, Any]
    per_epoch: int


def _batches_of(model: keras.Model, train: Pair | Stream, batch_size: int) -> _Batches:
    if isinstance(train, Stream):
        # Keras shuffles the batches of a PyDataset; a Dataset shuffles itself.
        return _Batches({"x": train.source, "shuffle": not hasattr(train.source, "element_spec")}, train.batches)
    x, y = train
    arguments = {"x": as_model_inputs(model, x), "y": y, "batch_size": batch_size}
    return _Batches(arguments, math.ceil(count_samples(x) / batch_size))


def copy_model(model: keras.Model) -> keras.Model:
    """The same model with weights of its own; not compiled.

    Raises:
        ModelError: a layer cannot be made again from its configuration.
    """
    try:
        # Without the compile settings: a loss of the user's own may have no registered name to be found by.
        graph = getattr(model, "_functional", None) or model
        bare = keras.Model(graph._inputs_struct, graph._outputs_struct, name=model.name) if hasattr(graph, "_inputs_struct") else model
        copy = keras.models.clone_model(bare)
        copy.set_weights(model.get_weights())
        if bare is not model:
            # A rebuilt model's outputs may have other names than the layers that make them now.
            copy.output_names = list(graph.output_names)
    except (TypeError, ValueError, NotImplementedError, KeyError) as e:
        raise ModelError(
            f"model {model.name!r} cannot be copied: {first_reason(e)}", hint="give its custom layers get_config() and from_config()"
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
