"""The loss of one output of a student against the same output of its teachers.

Formulas and sources stand in `recipe.teacher`. Probabilities are taken back to logits first: from the input of the softmax where the graph
shows it, else as log(p), which equals them up to a shift that a softmax ignores.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import keras
import tensorflow as tf

from edgecompress.compress.training.objective import gives_probabilities
from edgecompress.recipe.teacher import DistillLoss

# log(0) must not happen; float32 softmax gives nothing between this and 0 that matters.
_LEAST_PROBABILITY = 1e-7


class Kind(Enum):
    """What an output is; the value is the word used in reports."""

    CLASSES = "classes"
    BINARY = "yes or no"
    VALUES = "values"


def output_kinds(model: keras.Model, loss: Any) -> list[Kind]:  # noqa: ANN401  what `compile` takes
    """What each output of `model` is, from the loss that it is trained with, or else from the softmax or sigmoid that it ends in.

    Args:
        loss: one for all outputs, or a list or dict with one each.
    """
    return [_kind(_loss_of(model, loss, index), model, index) for index in range(len(model.outputs))]


def probability_outputs(model: keras.Model) -> list[bool]:
    """For each output whether it is a softmax or a sigmoid; empty for a model whose graph is unknown."""
    if not getattr(model, "inputs", None):
        return []
    return [gives_probabilities(keras.Model(model.inputs, output)) for output in model.outputs]


class TeacherLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras ships without types
    """`loss(teachers' outputs, student's output, sample_weight)`: a scalar, reduced, weighted and masked as Keras losses are.

    Args:
        kind: of the output.
        settings: targets, temperature and shares.
        student, teachers: whether they give probabilities; None where only the graph of the step can tell.
    """

    def __init__(self, kind: Kind, settings: DistillLoss, *, student: bool, teachers: Sequence[bool | None]) -> None:
        super().__init__(name="teacher")
        self._kind, self._settings = kind, settings
        self._student, self._teachers = student, tuple(teachers)

    def call(self, y_true: Any, y_pred: Any) -> Any:  # noqa: ANN401
        """Per position, the last axis reduced.

        Args:
            y_true: one tensor [n, ..., C] a teacher.
            y_pred: [n, ..., C].
        """
        given = [tf.stop_gradient(output) for output in y_true]
        if self._kind is Kind.VALUES:
            return squared_error(self._mix(given), y_pred)
        student = to_logits(y_pred, self._kind) if self._student else y_pred
        teachers = [
            tf.stop_gradient(to_logits(output, self._kind)) if (_shows_probabilities(output) if known is None else known) else kept
            for output, kept, known in zip(y_true, given, self._teachers, strict=True)
        ]
        match self._settings.targets:
            case "soft":
                temperature = self._settings.temperature
                return soft_loss(self._kind, self._soft_targets(teachers, temperature), student, temperature)
            case "squared" if self._kind is Kind.CLASSES:
                return squared_error(self._mix([_centred(z) for z in teachers]), _centred(student))
            case "squared":
                return squared_error(self._mix(teachers), student)
            case "hard":
                return hard_loss(self._kind, self._soft_targets(teachers, 1.0), student)

    def _mix(self, tensors: Sequence[Any]) -> Any:  # noqa: ANN401
        return tf.add_n([share * tensor for share, tensor in zip(self._settings.normalized_shares, tensors, strict=True)])

    def _soft_targets(self, logits: Sequence[Any], temperature: float) -> Any:  # noqa: ANN401
        normalize = tf.nn.softmax if self._kind is Kind.CLASSES else tf.sigmoid
        return self._mix([normalize(z / temperature) for z in logits])


def soft_loss(kind: Kind, targets: Any, logits: Any, temperature: float) -> Any:  # noqa: ANN401
    """T^2 * KL(targets || softmax(logits / T)); for yes or no the mean over the last axis of the two-valued KL.

    Args:
        targets: [..., C], the teachers' probabilities at temperature T.
        logits: [..., C].

    Returns:
        [...].
    """
    if kind is Kind.CLASSES:
        log_student = tf.nn.log_softmax(logits / temperature)
        divergence = tf.reduce_sum(tf.math.xlogy(targets, targets) - targets * log_student, axis=-1)
    else:
        entropy = -tf.math.xlogy(targets, targets) - tf.math.xlogy(1.0 - targets, 1.0 - targets)
        cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits / temperature)
        divergence = tf.reduce_mean(cross - entropy, axis=-1)
    return temperature**2 * divergence


def hard_loss(kind: Kind, targets: Any, logits: Any) -> Any:  # noqa: ANN401
    """Cross-entropy with the likeliest class (yes or no: with targets > 1/2), [...]; arguments as in `soft_loss`."""
    if kind is Kind.CLASSES:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.argmax(targets, axis=-1), logits=logits)
    decided = tf.cast(targets > 0.5, logits.dtype)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=decided, logits=logits), axis=-1)


def squared_error(targets: Any, outputs: Any) -> Any:  # noqa: ANN401
    """Mean over the last axis of (outputs - targets)^2, [...]."""
    return tf.reduce_mean(tf.math.squared_difference(outputs, targets), axis=-1)


def to_logits(probabilities: Any, kind: Kind) -> Any:  # noqa: ANN401
    """Logits whose softmax (sigmoid) gives these probabilities: what went into it, or logarithms."""
    if _shows_probabilities(probabilities):
        # As exact as it gets, and its gradient does not vanish where a probability is 1.
        return probabilities.op.inputs[0]
    safe = tf.clip_by_value(probabilities, _LEAST_PROBABILITY, 1.0 if kind is Kind.CLASSES else 1.0 - _LEAST_PROBABILITY)
    return tf.math.log(safe) if kind is Kind.CLASSES else tf.math.log(safe) - tf.math.log1p(-safe)


def _shows_probabilities(output: Any) -> bool:  # noqa: ANN401
    """Whether a tensor comes out of a softmax or sigmoid right away; eager tensors do not tell."""
    operation = getattr(output, "op", None)
    return operation is not None and operation.type in ("Softmax", "Sigmoid")


def _centred(logits: Any) -> Any:  # noqa: ANN401
    return logits - tf.reduce_mean(logits, axis=-1, keepdims=True)


def _loss_of(model: keras.Model, loss: Any, index: int) -> Any:  # noqa: ANN401
    if isinstance(loss, dict):
        return loss.get(model.output_names[index])
    return loss[index] if isinstance(loss, list | tuple) else loss


def _kind(loss: Any, model: keras.Model, index: int) -> Kind:  # noqa: ANN401
    word = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    word = word.lower().replace("_", "")
    columns = model.outputs[index].shape[-1]
    if word.startswith("binary"):
        return Kind.BINARY
    if "categorical" in word:
        return Kind.CLASSES
    if word.startswith(("mean", "huber", "logcosh", "poisson", "mse", "mae", "mape", "msle", "cosine")) or not _is_probability(
        model, index
    ):
        return Kind.VALUES
    return Kind.CLASSES if columns is not None and columns > 1 else Kind.BINARY


def _is_probability(model: keras.Model, index: int) -> bool:
    return probability_outputs(model)[index]
