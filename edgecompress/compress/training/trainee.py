"""A model as it trains: its own graph and weights, with more terms in the loss.

A `Trainee` is made from the tensors of a model, so it shares the model's layers and variables: callbacks find the same layers by path, and
nothing has to be copied back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from edgecompress.compress.distill.lesson import Lesson

LossTerm = Callable[[Any, Any, Any], Any]
"""`term(x, y, y_pred)`: a scalar tensor that is added to the loss."""


class Trainee(keras.Model):  # type: ignore[misc]  # Keras ships without types
    """`Trainee(inputs, outputs)` as `keras.Model`; `study` says what it learns beside its labels."""

    _lesson: Lesson | None = None
    _terms: tuple[LossTerm, ...] = ()

    def study(self, lesson: Lesson | None, terms: Sequence[LossTerm]) -> None:
        """Before `compile`, so that the optimizer knows the lesson's variables too."""
        # Neither is a layer, so Keras does not count their weights among the model's.
        self._lesson, self._terms = lesson, tuple(terms)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """Of the model, and the projections of paired features."""
        return [*super().trainable_variables, *(self._lesson.projections if self._lesson else ())]

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        return self.trainable_variables

    def compute_loss(
        self,
        x: Any = None,  # noqa: ANN401
        y: Any = None,  # noqa: ANN401
        y_pred: Any = None,  # noqa: ANN401
        sample_weight: Any = None,  # noqa: ANN401
        training: bool = True,
    ) -> Any:  # noqa: ANN401
        """The task's loss, changed by the lesson, plus the terms; of one replica's batch."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self._lesson is not None:
            loss = self._lesson.loss(loss, x, y_pred, sample_weight)
        # Gradients of the replicas are added up; Keras' own losses are scaled by it already.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        for term in self._terms:
            loss += term(x, y, y_pred) / replicas
        return loss


def make_trainee(model: keras.Model) -> Trainee:
    """A trainee on the layers and weights of a functional or Sequential model."""
    functional = getattr(model, "_functional", None) or model
    trainee = Trainee(functional._inputs_struct, functional._outputs_struct, name=model.name)
    trainee.output_names = list(functional.output_names)
    return trainee
