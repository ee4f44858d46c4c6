"""dL/dw of kernels, batch by batch, in inference mode: no dropout, BatchNormalization on its moving statistics, so that it repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgecompress.compress.data import Data, train_batches
from edgecompress.compress.layers import walk_layers
from edgecompress.compress.saliency.run_network import is_grouped, traced
from edgecompress.compress.training.grouped import groups_apart
from edgecompress.compress.training.objective import find_objective
from edgecompress.compress.training.user_code import loss_errors_named
from edgecompress.progress import Progress

STAGE = "read gradients"

_FEW_BATCHES = 8


def batch_gradients(
    model: keras.Model, variables: Sequence[keras.Variable], data: Data, *, samples: int, batch_size: int, progress: Progress
) -> Iterator[list[NDArray[np.float32]]]:
    """The gradient of each batch's mean loss, one array a variable; zeros for one that the loss does not see.

    Raises:
        DataError: there is no training data, or no loss follows from it.
    """
    batches = list(train_batches(data, model, samples=samples, batch_size=batch_size, stage=STAGE))
    loss_of = loss_function(model, data)
    # Under a strategy of several devices the first device's copy is the one that is read outside of training.
    strategy = tf.distribute.get_strategy()
    values = [strategy.experimental_local_results(variable.value)[0] for variable in variables]

    def differentiate(x: Any, y: Any) -> list[Any]:  # noqa: ANN401  tensors in the model's structure
        # Watched by hand: a frozen kernel has a gradient too.
        with groups_apart(), tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = loss_of(y, model(x, training=False))
        return list(tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO))

    # Tracing takes as long as a few batches of a large model.
    pays = len(batches) > _FEW_BATCHES or any(is_grouped(layer) for _, layer in walk_layers(model))
    run = traced(differentiate) if pays else differentiate
    for index, (x, y) in enumerate(batches):
        progress(STAGE, index, len(batches))
        yield [np.asarray(gradient) for gradient in run(*keras.tree.map_structure(tf.convert_to_tensor, (x, y)))]
    progress(STAGE, len(batches), len(batches))


def loss_function(model: keras.Model, data: Data) -> Callable[[Any, Any], Any]:
    """`loss(y, y_pred)`: the scalar that fine-tuning would minimize, without changing how `model` is compiled."""
    objective = find_objective(model, data)
    # The same layers and variables under a second head, since compiling resets a model's own optimizer and metrics.
    graph = getattr(model, "_functional", None) or model
    head = keras.Model(graph._inputs_struct, graph._outputs_struct)
    head.output_names = list(graph.output_names)
    head.compile(loss=objective.loss, loss_weights=objective.loss_weights)
    # Keras gives each replica of a strategy its share of the loss; here one of them reads all.
    replicas = tf.distribute.get_strategy().num_replicas_in_sync

    def loss(y: Any, y_pred: Any) -> Any:  # noqa: ANN401  tensors
        with loss_errors_named(STAGE, objective.source):
            return head.compute_loss(y=y, y_pred=y_pred) * replicas

    return loss
