"""The loss to fine-tune with: the model's own, or the one that its labels imply.

| labels y, outputs [n, ..., C]                          | task        | loss                                  | score               |
|--------------------------------------------------------|-------------|---------------------------------------|---------------------|
| whole numbers, [n, ...] or [n, ..., 1], C > 1          | CLASSES     | sparse categorical cross-entropy      | accuracy            |
| as the outputs, C > 1, one 1 a row and the rest 0      | ONE_HOT     | categorical cross-entropy             | accuracy            |
| as the outputs (or without the last axis of 1), 0 or 1 | BINARY      | binary cross-entropy                  | accuracy            |
| as the outputs (or without the last axis of 1)         | REGRESSION  | mean squared error                    | mean absolute error |

Cross-entropy takes logits unless the model ends in softmax or sigmoid.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import DataError

if TYPE_CHECKING:
    from keras import KerasTensor, Model

    from edgecompress.compress.data import Data


class Task(Enum):
    """What the labels say that the model is for."""

    CLASSES = "classes"
    ONE_HOT = "one-hot classes"
    BINARY = "binary"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Objective:
    """Arguments of `compile`, and where they came from."""

    loss: Any
    loss_weights: Any
    source: str


def find_task(labels: NDArray[np.generic], outputs: tuple[int, ...]) -> Task:
    """The task, by the table above.

    Args:
        labels: [n, ...].
        outputs: shape of one output, without the batch axis.

    Raises:
        DataError: labels of that shape belong to no output of this one, or name a class that does not exist.
    """
    shape = labels.shape[1:]
    classes = outputs[-1] if outputs else 1
    if classes > 1 and shape in (outputs[:-1], (*outputs[:-1], 1)) and _are_whole(labels):
        low, high = labels.min(), labels.max()
        if low < 0 or high >= classes:
            raise DataError(
                f"labels run from {low} to {high}; the model tells {classes} classes apart, 0 to {classes - 1}",
                hint="number the classes from 0",
            )
        return Task.CLASSES
    if shape != outputs and not (classes == 1 and shape == outputs[:-1]):
        raise DataError(
            f"labels have the shape {['n', *shape]}, the model's outputs {['n', *outputs]}",
            hint="give class numbers [n], or labels of the outputs' shape; or compile the model with its loss before you save it",
        )
    if bool(np.isin(labels, (0, 1)).all()):
        return Task.ONE_HOT if classes > 1 and bool((labels.sum(axis=-1) == 1).all()) else Task.BINARY
    return Task.REGRESSION


def find_objective(model: Model, data: Data) -> Objective:
    """The loss that the data function gave; or the one that the model was compiled with; otherwise the one that its labels imply.

    Raises:
        DataError: none of them says what to train for.
    """
    if isinstance(data.loss, Objective):
        return data.loss
    if data.loss is not None:
        return Objective(data.loss, None, "the data function's loss")
    labels = data.example_labels
    if model.compiled and getattr(model, "loss", None):
        _check_class_numbers(model, labels)
        return Objective(model.loss, _loss_weights(model), "the model's own loss")
    if len(model.outputs) != 1 or not isinstance(labels, np.ndarray):
        raise DataError(
            f"model {model.name!r} has {len(model.outputs)} outputs and was saved without a loss",
            hint="return loss=[...], one for each output, from the data function; or compile the model with its losses and save it again",
        )
    task = find_task(labels, tuple(model.outputs[0].shape[1:]))
    return Objective(_loss(task, from_logits=not gives_probabilities(model)), None, f"inferred from the labels: {task.value}")


def gives_probabilities(model: Model) -> bool:
    """Whether the model's first output is a softmax or a sigmoid."""
    return _ends_in_probabilities(model.outputs[0])


def _ends_in_probabilities(tensor: KerasTensor) -> bool:
    import keras

    layers = keras.layers
    operation, _, index = tensor._keras_history
    if isinstance(operation, keras.Model) and getattr(operation, "outputs", None):
        return _ends_in_probabilities(operation.outputs[index])
    if isinstance(operation, layers.Reshape | layers.Flatten | layers.Identity | layers.Dropout):
        return _ends_in_probabilities(operation._inbound_nodes[-1].input_tensors[0])
    if isinstance(operation, layers.Softmax) or operation.__class__.__name__ in ("Softmax", "Sigmoid"):
        return True
    return getattr(operation, "activation", None) in (keras.activations.softmax, keras.activations.sigmoid)


def _check_class_numbers(model: Model, labels: Any) -> None:  # noqa: ANN401  labels of any structure
    """Class numbers that the model has no output for: TensorFlow only says that an index is out of range."""
    import keras

    loss = keras.losses.get(model.loss) if isinstance(model.loss, str) else model.loss
    counts = isinstance(loss, keras.losses.SparseCategoricalCrossentropy) or loss is keras.losses.sparse_categorical_crossentropy
    if not counts or getattr(loss, "ignore_class", None) is not None or not isinstance(labels, np.ndarray) or len(model.outputs) != 1:
        return
    outputs = tuple(model.outputs[0].shape[1:])
    if labels.min() < 0 or labels.max() >= outputs[-1]:
        find_task(labels, outputs)


def _loss(task: Task, *, from_logits: bool) -> Any:  # noqa: ANN401  Keras ships without types
    import keras

    match task:
        case Task.CLASSES:
            return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        case Task.ONE_HOT:
            return keras.losses.CategoricalCrossentropy(from_logits=from_logits)
        case Task.BINARY:
            return keras.losses.BinaryCrossentropy(from_logits=from_logits)
        case Task.REGRESSION:
            return keras.losses.MeanSquaredError()


def _loss_weights(model: Model) -> Any:  # noqa: ANN401  a number, or a structure of them
    return (model.get_compile_config() or {}).get("loss_weights")


def _are_whole(labels: NDArray[np.generic]) -> bool:
    return labels.dtype.kind in "iub" or bool((labels == np.floor(labels)).all())
