"""Pruning while training: after each optimizer update the masked weights are zero again.

The weights with the lowest saliency go first. Under `global` scope all kernels compete; each still keeps a tenth of the share that `layer`
scope would leave it, so that no layer vanishes and cuts the network in two. A pruned weight stays pruned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from edgecompress.compress.data import Data
from edgecompress.compress.prune.kernels import Kernel, LeftAlone, find_kernels, find_left_alone, split_by_axes
from edgecompress.compress.prune.masks import Masks, Saliency
from edgecompress.compress.prune.new_head import replace_head
from edgecompress.compress.prune.schedule import Schedule
from edgecompress.compress.training.train import copy_model, fit
from edgecompress.errors import RecipeError
from edgecompress.progress import Progress, silent
from edgecompress.recipe import PruneSettings
from edgecompress.recipe.saliency import READS, Reads


@dataclass(frozen=True)
class LayerSparsity:
    """Zeros among one layer's prunable weights."""

    layer: str
    weights: int
    zeros: int

    @property
    def sparsity(self) -> float:
        return self.zeros / self.weights


@dataclass(frozen=True)
class PruneNote:
    """What pruning did.

    Attributes:
        weights, zeros: of all prunable kernels together; zeros / weights >= the sparsity asked for.
        layers: the same for each layer.
        left_alone: layers that were not pruned although nobody excluded them.
        saliency, schedule, pattern: how weights were chosen.
        new_head: the layer that started anew for a new task; None for the old one.
        epochs, steps: of fine-tuning.
        objective: where the loss came from.
    """

    weights: int
    zeros: int
    layers: tuple[LayerSparsity, ...]
    left_alone: tuple[LeftAlone, ...]
    saliency: str
    schedule: str
    pattern: str
    new_head: str | None
    epochs: int
    steps: int
    objective: str


class PruningCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships without types
    """Prunes the model that it is given to `fit` with.

    Example:
        >>> model.fit(x, y, epochs=4, callbacks=[PruningCallback(PruneSettings(sparsity=0.8))])  # doctest: +SKIP
    """

    def __init__(self, settings: PruneSettings, *, steps: int | None = None, data: Data | None = None, progress: Progress = silent) -> None:
        """Takes settings as in a recipe (`epochs`, `batch_size` and `learning_rate` are those of `fit` here).

        Args:
            steps: optimizer steps of the whole training; needed when the data does not know its length.
            data: what a saliency that reads data reads.
        """
        super().__init__()
        self._settings = settings
        self._steps = steps
        self._data = data
        self._progress = progress
        self._step = 0
        self._measured_step: int | None = None
        self._schedule = Schedule(settings, 1)
        self._masks: Masks | None = None
        self._saliency: Saliency | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Find the kernels, with every weight alive that is not zero already; prune at once what the schedule wants before training."""
        per_epoch = self.params.get("steps")
        steps = self._steps or (per_epoch * self.params.get("epochs", 1) if per_epoch else None)
        if steps is None:
            raise RecipeError("prune: the length of the training data is not known", hint="give PruningCallback(settings, steps=...)")
        if self._data is None and READS[self._settings.saliency] in (Reads.INPUTS, Reads.LABELS):
            raise RecipeError(
                f"prune: saliency {self._settings.saliency.value!r} reads {READS[self._settings.saliency].value}",
                hint="give PruningCallback(settings, data=...)",
            )
        self._schedule = Schedule(self._settings, steps)
        kernels, _ = _prunable(self.model, self._settings)
        self._saliency = Saliency(self.model, kernels, self._settings, self._data or Data(), self._progress)
        self._masks = Masks(kernels, self._settings)
        self._step = self._epoch_start = 0
        self._measured_step = None
        self._update(range(1))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch_start = self._step

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Choose the masks anew when due, then zero what the optimizer moved.

        With steps_per_execution above 1 Keras calls this less often; every step passed since is then accounted for.
        """
        before, self._step = self._step, self._epoch_start + batch + 1
        self._update(range(before + 1, self._step + 1))

    def _update(self, passed: range) -> None:
        if self._masks is None or self._saliency is None:
            return
        if any(self._schedule.is_due(step) for step in passed):
            # What the optimizer moved since the last update would be read as part of the network.
            self._masks.apply()
            anew = self._measured_step is None or self._step - self._measured_step >= self._schedule.measure_every
            self._measured_step = self._step if anew else self._measured_step
            self._masks.choose(self._schedule.sparsity(self._step), self._saliency.measure(anew=anew))
        self._masks.apply()


def prune(
    model: keras.Model, settings: PruneSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, PruneNote]:
    """A pruned and fine-tuned copy of `model`, and what was done; `model` is not changed.

    With 0 epochs the weights are pruned at once and not fine-tuned. With `new_head` the copy has a fresh last layer, which is not pruned,
    and the masks are chosen while the rest learns the data's labels.

    Raises:
        RecipeError: nothing to prune, a name that is no layer, or a saliency or pattern that one of the layers cannot have.
        ModelError: the model cannot be copied.
        DataError: data that is read is missing, or no loss follows from its labels.
    """
    pruned = copy_model(model) if settings.new_head is None else replace_head(model, settings.new_head)
    kernels, left_alone = _prunable(pruned, settings)
    steps, objective = 0, "none: not fine-tuned"
    if settings.epochs:
        trained = fit(
            pruned,
            data,
            # A loss of the model's own says what it learned; without one the labels say it, and they fit the new head alone.
            objective_of=model if settings.new_head is None or model.compiled else pruned,
            training=settings,
            original=original,
            callbacks=[PruningCallback(settings, data=data)],
            stage=_stage(settings),
            progress=progress,
        )
        steps, objective = trained.steps, trained.objective
    else:
        masks = Masks(kernels, settings)
        masks.choose(settings.goal, Saliency(model, _prunable(model, settings)[0], settings, data, progress).measure(anew=True))
        masks.apply()
    layers = measure_sparsity(kernels)
    note = PruneNote(
        weights=sum(layer.weights for layer in layers),
        zeros=sum(layer.zeros for layer in layers),
        layers=layers,
        left_alone=left_alone,
        saliency=settings.saliency.value,
        schedule=settings.schedule if settings.epochs else "one_shot",
        pattern=settings.pattern,
        new_head=None if settings.new_head is None else settings.new_head.layer,
        epochs=settings.epochs,
        steps=steps,
        objective=objective,
    )
    return pruned, note


def measure_sparsity(kernels: Sequence[Kernel]) -> tuple[LayerSparsity, ...]:
    """Zeros of each layer, its kernels taken together, in the model's order."""
    counts: dict[str, tuple[int, int]] = {}
    for kernel in kernels:
        weights, zeros = counts.get(kernel.layer, (0, 0))
        counts[kernel.layer] = weights + kernel.elements, zeros + int(np.count_nonzero(kernel.variable.numpy() == 0))
    return tuple(LayerSparsity(layer, weights, zeros) for layer, (weights, zeros) in counts.items())


def _prunable(model: keras.Model, settings: PruneSettings) -> tuple[list[Kernel], tuple[LeftAlone, ...]]:
    """The kernels that the settings ask for, and the layers that they cannot have."""
    exclude = (*settings.exclude, *((settings.new_head.layer,) if settings.new_head else ()))
    kernels = find_kernels(model, exclude, settings.include)
    left_alone = find_left_alone(model, exclude, settings.include)
    if settings.weight_pattern is None:
        return kernels, left_alone
    fitting, others = split_by_axes(kernels)
    return fitting, (*left_alone, *others)


def _stage(settings: PruneSettings) -> str:
    if settings.threshold is not None:
        return f"prune below {settings.threshold:g}"
    return f"prune to {settings.goal:.0%}"
