"""The pass `distill`: fine-tuning with teachers (see `recipe.teacher` for what is learned of them)."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from edgecompress.compress.data import Data
from edgecompress.compress.training.train import copy_model, fit
from edgecompress.progress import Progress, silent
from edgecompress.recipe.distill import DistillSettings


@dataclass(frozen=True)
class DistillNote:
    """What was learned.

    Attributes:
        teachers: as the recipe names them.
        features: paired layers, "student layer <- teacher layer".
        loss: mean of the last epoch.
        objective: the task's loss, and how the teachers entered it.
    """

    teachers: tuple[str, ...]
    features: tuple[str, ...]
    epochs: int
    steps: int
    loss: float
    objective: str


def distill(
    model: keras.Model, settings: DistillSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, DistillNote]:
    """A copy of `model` that learned from its teachers, and what was done; `model` is not changed.

    Args:
        original: the teacher of that name; `model` itself when left out.

    Raises:
        DataError: there is no training data, or no loss follows from its labels.
        ModelError: the model cannot be copied, or a teacher cannot be loaded or does not fit.
        RecipeError: a paired layer does not exist.
    """
    student = copy_model(model)
    trained = fit(student, data, objective_of=model, training=settings, stage="distill", progress=progress, original=original)
    asked = settings.distill
    return student, DistillNote(
        teachers=asked.teachers,
        features=tuple(f"{pair.student} <- {pair.teacher}" for pair in asked.features),
        epochs=settings.epochs,
        steps=trained.steps,
        loss=trained.loss,
        objective=trained.objective,
    )
