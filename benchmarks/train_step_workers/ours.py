"""Our training steps, timed: `python ours.py --batch 128 --steps 10 [--deterministic]`; see protocol.py.

A network trains as in a recipe, by Keras' own `fit`; each step is timed from before its batch is taken to after the last callback.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from protocol import Cost, Step, serve

from edgecompress.compress.int8.aware import quantization_aware
from edgecompress.compress.prune.step import PruningCallback
from edgecompress.compress.training.train import copy_model
from edgecompress.keras_graph.prepare import prepare
from edgecompress.recipe import PruneSettings

SHAPE, CLASSES = (32, 32, 3), 10
_EVERY = 10  # steps between two choices of the masks, as in a recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--deterministic", action="store_true")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    if arguments.deterministic:
        tf.config.experimental.enable_op_determinism()
    model = resnet8()
    folded = prepare(model)
    networks = {"float": (model, False), "QAT": (quantization_aware(model), False)}
    if not arguments.deterministic:
        networks = {"float": networks["float"], "folded": (folded, False), **networks, "pruned": (copy_model(folded), True)}
    serve({name: _step(network, arguments.batch, pruned=pruned) for name, (network, pruned) in networks.items()}, arguments.steps)


def resnet8() -> keras.Model:
    """MLPerf Tiny's ResNet8 with random weights: 78,666 parameters, 12.5 million multiply-accumulates."""
    x = image = keras.Input(SHAPE)
    x = _conv(x, 16, 3, 1, "stem")
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(x, filters, 3, stride, f"a{filters}")
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", name=f"b{filters}")(y))
        if stride > 1:
            x = layers.Conv2D(filters, 1, stride, padding="same", name=f"skip{filters}")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x), name="resnet8")


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships without types
    """Seconds of all steps, by the clock and of all threads; the last callback, so that the others' work counts."""

    def __init__(self) -> None:
        super().__init__()
        self.wall_s = self.cpu_s = 0.0
        self._began = (0.0, 0.0)

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._began = (time.perf_counter(), time.process_time())

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.wall_s += time.perf_counter() - self._began[0]
        self.cpu_s += time.process_time() - self._began[1]


def _step(model: keras.Model, batch: int, *, pruned: bool) -> Step:
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0, 255, (batch, *SHAPE)).astype(np.float32))
    y = tf.constant(rng.integers(0, CLASSES, batch).astype(np.int32))
    model.compile(keras.optimizers.Adam(1e-4), keras.losses.SparseCategoricalCrossentropy())

    def take(count: int) -> Cost:
        clock = _Clock()
        data = tf.data.Dataset.from_tensors((x, y)).repeat(count)
        masks = [PruningCallback(PruneSettings(sparsity=0.8, end=1.0, every=_EVERY), steps=count)] if pruned else []
        model.fit(data, verbose=0, shuffle=False, callbacks=[*masks, clock])
        return {"wall": 1000.0 * clock.wall_s / count, "cpu": 1000.0 * clock.cpu_s / count}

    return take


def _conv(x: keras.KerasTensor, filters: int, size: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, size, stride, padding="same", name=name)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


if __name__ == "__main__":
    main()
