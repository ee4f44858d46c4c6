"""What one student learns from its teachers, as a term of its loss: outputs and paired features.

    loss = (1 - weight) * task + weight * sum over outputs of teacher term + feature_weight * sum over pairs of feature term

The teachers run in the graph of the training step, as at inference, and no gradient enters them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgecompress.compress.distill.taps import Taps, find_layers
from edgecompress.compress.distill.targets import Kind, TeacherLoss, output_kinds, probability_outputs
from edgecompress.compress.distill.teachers import check_teacher, load_teachers, run_teacher
from edgecompress.errors import ModelError
from edgecompress.recipe.teacher import DistillLoss, FeaturePair

# Of the projections' start: the recipe's seed shall not change which weights a teacher's features begin at.
_PROJECTION_SEED = 0


class FeatureLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras ships without types
    """Mean over all of a sample's elements of (student - teacher)^2, then over the samples."""

    def call(self, y_true: Any, y_pred: Any) -> Any:  # noqa: ANN401
        """[n], from two tensors [n, ..., C]."""
        return tf.reduce_mean(tf.math.squared_difference(y_pred, tf.stop_gradient(y_true)), axis=list(range(1, len(y_pred.shape))))


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two layers, and the map [student channels, teacher channels] between them where the counts differ."""

    asked: FeaturePair
    projection: keras.Variable | None


class Lesson:
    """Everything that the teachers add to a student's training.

    Attributes:
        description: one clause for reports.
    """

    def __init__(self, student: keras.Model, settings: DistillLoss, *, original: keras.Model, loss: Any) -> None:  # noqa: ANN401
        """Load the teachers and pair the layers.

        Args:
            original: the teacher of that name.
            loss: what the student is trained with, as in `compile`: it tells classes from values.

        Raises:
            ModelError: a teacher cannot be loaded or does not fit, or paired layers differ in more than channels.
            RecipeError: a paired layer does not exist.
        """
        self._settings = settings
        self._teachers = load_teachers(settings.teachers, original)
        for teacher in self._teachers:
            check_teacher(teacher, student)
        kinds = output_kinds(student, loss)
        self._losses = _teacher_losses(student, self._teachers, kinds, settings)
        self._feature_loss = FeatureLoss(name="features")
        self._student_taps = Taps(find_layers(student, _unique(pair.student for pair in settings.features), "distill: features: student"))
        self._teacher_taps = [_taps_of(teacher, number, settings) for number, teacher in enumerate(self._teachers)]
        self._pairs = self._match(student)
        self.description = _describe(settings, kinds)

    @property
    def projections(self) -> list[keras.Variable]:
        """Variables that train beside the student and are thrown away after it."""
        return [pair.projection for pair in self._pairs if pair.projection is not None]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the student trains: its paired layers, and the teachers', are listened to."""
        with ExitStack() as stack:
            for taps in (self._student_taps, *self._teacher_taps):
                stack.enter_context(taps.listening())
            yield

    def loss(self, task: Any, x: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ANN401  tensors of one step
        """The whole loss of a batch: call it after the student ran on `x`, and while `listening`.

        Args:
            task: loss against the labels, a scalar.
            y_pred: the student's outputs.
            sample_weight: as Keras hands it to `compute_loss`.
        """
        settings = self._settings
        answers = [run_teacher(teacher, x) for teacher in self._teachers]
        total = (1.0 - settings.weight) * task
        if settings.weight > 0:
            outputs = keras.tree.flatten(y_pred)
            weights = _for_each(sample_weight, len(outputs))
            for index, (term, output) in enumerate(zip(self._losses, outputs, strict=True)):
                total += settings.weight * term([answer[index] for answer in answers], output, weights[index])
        for pair in self._pairs:
            theirs = self._teacher_taps[pair.asked.of].last(pair.asked.teacher)
            ours = self._project(pair, self._student_taps.last(pair.asked.student))
            total += settings.feature_weight * self._feature_loss(theirs, ours, _one_for_all(sample_weight))
        return total

    def _project(self, pair: _Pair, feature: Any) -> Any:  # noqa: ANN401
        return feature if pair.projection is None else tf.tensordot(feature, tf.convert_to_tensor(pair.projection), axes=1)

    def _match(self, student: keras.Model) -> list[_Pair]:
        """Run student and teachers once on zeros: only then every layer's shape is known."""
        if not self._settings.features:
            return []
        graph = getattr(student, "_functional", None) or student
        zeros = keras.tree.map_structure(
            lambda t: np.zeros((1, *t.shape[1:]), keras.backend.standardize_dtype(t.dtype)), graph._inputs_struct
        )
        with self.listening():
            student(zeros, training=False)
            for teacher in self._teachers:
                run_teacher(teacher, zeros)
        return [self._pair(asked) for asked in self._settings.features]

    def _pair(self, asked: FeaturePair) -> _Pair:
        ours = tuple(self._student_taps.last(asked.student).shape)
        theirs = tuple(self._teacher_taps[asked.of].last(asked.teacher).shape)
        if ours[:-1] != theirs[:-1]:
            raise ModelError(
                f"distill: features of {asked.student} have the shape {list(ours[1:])}, those of the teacher's {asked.teacher}"
                f" {list(theirs[1:])}; only the channels, the last axis, may differ",
                hint="pair layers that see the image at the same size",
            )
        if ours[-1] == theirs[-1]:
            return _Pair(asked, None)
        start = keras.initializers.GlorotUniform(seed=_PROJECTION_SEED)
        return _Pair(asked, keras.Variable(start, shape=(ours[-1], theirs[-1]), dtype="float32", name="distill_projection"))


def _teacher_losses(
    student: keras.Model, teachers: Sequence[keras.Model], kinds: Sequence[Kind], settings: DistillLoss
) -> list[TeacherLoss]:
    ours = probability_outputs(student)
    # A subclassed teacher shows a softmax in the graph of the step only.
    theirs: list[Sequence[bool | None]] = [probability_outputs(teacher) or [None] * len(kinds) for teacher in teachers]
    return [
        TeacherLoss(kind, settings, student=ours[index], teachers=[of_teacher[index] for of_teacher in theirs])
        for index, kind in enumerate(kinds)
    ]


def _taps_of(teacher: keras.Model, number: int, settings: DistillLoss) -> Taps:
    paths = _unique(pair.teacher for pair in settings.features if pair.of == number)
    return Taps(find_layers(teacher, paths, f"distill: features: teacher {number}"))


def _unique(paths: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(paths))


def _for_each(sample_weight: Any, outputs: int) -> list[Any]:  # noqa: ANN401
    """One weight, or None, an output."""
    if sample_weight is None or tf.is_tensor(sample_weight):
        return [sample_weight] * outputs
    return list(keras.tree.flatten(sample_weight))


def _one_for_all(sample_weight: Any) -> Any:  # noqa: ANN401
    """The weights of whole samples; weights of positions or of single outputs say nothing about features."""
    return sample_weight if tf.is_tensor(sample_weight) and len(sample_weight.shape) == 1 else None


def _describe(settings: DistillLoss, kinds: Sequence[Kind]) -> str:
    if all(kind is Kind.VALUES for kind in kinds):
        how = "squared error"
    else:
        how = f"soft targets at temperature {settings.temperature:g}" if settings.targets == "soft" else f"{settings.targets} targets"
    features = f", {len(settings.features)} paired features" if settings.features else ""
    return f"distilled from {', '.join(settings.teachers)} ({how}, weight {settings.weight:g}{features})"
