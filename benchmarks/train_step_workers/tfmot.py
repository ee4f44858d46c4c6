"""TFMOT's training steps of the same ResNet8, under its own interpreter and legacy Keras: `python tfmot.py --batch 128 --steps 10`."""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from protocol import Cost, Step, serve

layers = keras.layers
SHAPE, CLASSES = (32, 32, 3), 10
_EVERY = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.8, begin_step=0, end_step=10_000, frequency=_EVERY)
    pruned = tfmot.sparsity.keras.prune_low_magnitude(resnet8(), pruning_schedule=schedule)
    steps = {
        "TFMOT float": _step(resnet8(), arguments.batch, []),
        "TFMOT QAT": _step(tfmot.quantization.keras.quantize_model(resnet8()), arguments.batch, []),
        "TFMOT pruned": _step(pruned, arguments.batch, [tfmot.sparsity.keras.UpdatePruningStep()]),
    }
    serve(steps, arguments.steps)


def resnet8() -> keras.Model:
    """The network of ours.py, in legacy Keras."""
    x = image = keras.Input(SHAPE)
    x = _conv(x, 16, 1)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(x, filters, stride)
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        if stride > 1:
            x = layers.Conv2D(filters, 1, stride, padding="same")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x))


class _Clock(keras.callbacks.Callback):
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


def _step(model: keras.Model, batch: int, callbacks: list[keras.callbacks.Callback]) -> Step:
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0, 255, (batch, *SHAPE)).astype(np.float32))
    y = tf.constant(rng.integers(0, CLASSES, batch).astype(np.int32))
    model.compile(keras.optimizers.Adam(1e-4), keras.losses.SparseCategoricalCrossentropy())

    def take(count: int) -> Cost:
        clock = _Clock()
        model.fit(tf.data.Dataset.from_tensors((x, y)).repeat(count), verbose=0, callbacks=[*callbacks, clock])
        return {"wall": 1000.0 * clock.wall_s / count, "cpu": 1000.0 * clock.cpu_s / count}

    return take


def _conv(x: tf.Tensor, filters: int, stride: int) -> tf.Tensor:
    return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, stride, padding="same")(x)))


if __name__ == "__main__":
    main()
