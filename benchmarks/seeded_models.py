"""int8 models with seeded weights, made on this computer: shapes that benchmarks need and that no file of MLPerf Tiny has.

Weights are He-scaled and BatchNorm has random statistics, so that activations spread over their int8 range as in a trained network, and no
channel is dead. A made file is kept in the user's cache folder; the same seed gives the same floats, and the converter the same file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecompress.files import write_bytes
from edgecompress.tools import cache_dir

if TYPE_CHECKING:
    import keras

_SEED = 3
_CALIBRATION_SAMPLES = 8
# A folder of the cache: another recipe, another folder.
_RECIPE = "seeded-models-1"


@dataclass(frozen=True)
class SeededModel:
    """A model by name: its input without the batch, and what builds it in Keras."""

    name: str
    shape: tuple[int, ...]
    build: Callable[[tuple[int, ...]], keras.Model]

    def file(self) -> Path:
        """The .tflite, converted now if the cache has none."""
        path = cache_dir() / _RECIPE / f"{self.name}.tflite"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, self._convert())
        return path

    def _convert(self) -> bytes:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from edgecompress.convert import Mode, convert

        model = self.build(self.shape)
        _fill(model, np.random.default_rng(_SEED))
        calibration = np.random.default_rng(_SEED).uniform(-1, 1, (_CALIBRATION_SAMPLES, *self.shape)).astype(np.float32)
        return convert(model, Mode.INT8, calibration=calibration)


def _mobilenet_v1(shape: tuple[int, ...]) -> keras.Model:
    """7,489,664 MACs with 96x96x3: MLPerf Tiny's person detector, without its weights."""
    import keras

    return keras.applications.MobileNet(input_shape=shape, alpha=0.25, weights=None, classes=2, dropout=0)


def _mobilenet_v2(shape: tuple[int, ...]) -> keras.Model:
    import keras

    return keras.applications.MobileNetV2(input_shape=shape, alpha=0.35, weights=None, classes=2)


def _wake_word(shape: tuple[int, ...]) -> keras.Model:
    """Convolutions along time over frames of 40 features, as streaming wake words have them: the last seconds come in at once."""
    import keras
    from keras import layers

    inputs = keras.Input(shape)
    x = layers.Conv2D(32, (5, 1), strides=(2, 1), use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for taps, filters in ((3, 48), (3, 48), (3, 48), (5, 64)):
        x = layers.DepthwiseConv2D((taps, 1), padding="same", use_bias=False)(x)
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    outputs = layers.Dense(1, activation="sigmoid")(layers.Flatten()(x))
    return keras.Model(inputs, outputs)


SEEDED_MODELS = (
    SeededModel("mobilenet_v1_025_96", (96, 96, 3), _mobilenet_v1),
    SeededModel("mobilenet_v2_035_144", (144, 144, 3), _mobilenet_v2),
    SeededModel("wake_word_30x40", (30, 1, 40), _wake_word),
)


def _fill(model: keras.Model, rng: np.random.Generator) -> None:
    for layer in model.layers:
        weights = layer.get_weights()
        if weights:
            layer.set_weights(_filled(type(layer).__name__, weights, rng))


def _filled(kind: str, weights: list[Any], rng: np.random.Generator) -> list[Any]:
    """A layer's weights: gamma, beta, mean and variance of BatchNorm; else a kernel, and zeros for biases."""
    first, *rest = weights
    if kind == "BatchNormalization":
        ranges = ((0.7, 1.3), (-0.3, 0.3), (-0.15, 0.15), (0.7, 1.3))
        return [rng.uniform(low, high, w.shape) for (low, high), w in zip(ranges, weights, strict=True)]
    fan_in = math.prod(first.shape[:2] if kind == "DepthwiseConv2D" else first.shape[:-1])
    return [rng.normal(0, (2 / fan_in) ** 0.5, first.shape), *(np.zeros_like(w) for w in rest)]
