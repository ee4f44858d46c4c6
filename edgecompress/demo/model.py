"""The demo's network, and its float training: about 77,000 parameters and 1.3 million multiply-accumulates an image.

    8x8x1 -> conv 3x3, 24 -> depthwise 3x3, stride 2 -> conv 1x1, 64 -+-> conv 3x3, 64 -> conv 3x3, 64 -> add -> mean -> dense, 10
                                                                      +-------------------------------------^
BatchNormalization and ReLU follow each convolution (the last ReLU stands after the addition). The outputs are logits.
"""

from __future__ import annotations

import keras
from keras import layers

from edgecompress.compress.data import Data
from edgecompress.compress.training.train import fit
from edgecompress.progress import Progress, silent
from edgecompress.recipe import Training

EPOCHS = 15
BATCH_SIZE = 32
LEARNING_RATE = 3e-3
# A running mean over the last 10 or so batches: an epoch has 41 of them.
_BN_MOMENTUM = 0.9


def build_model() -> keras.Model:
    """The untrained network; its weights follow Keras' random seed."""
    x = image = keras.Input((8, 8, 1), name="image")
    x = _conv(x, 24, 3, "stem")
    x = layers.DepthwiseConv2D(3, 2, padding="same", use_bias=False, name="depthwise")(x)
    x = _normalized(x, "depthwise")
    x = shortcut = _conv(x, 64, 1, "pointwise")
    x = _conv(x, 64, 3, "block_1")
    x = layers.Conv2D(64, 3, padding="same", use_bias=False, name="block_2")(x)
    x = layers.BatchNormalization(momentum=_BN_MOMENTUM, name="block_2_bn")(x)
    x = layers.Add(name="add")([x, shortcut])
    x = layers.ReLU(name="add_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(10, name="logits")(x), name="digits")


def train_float(data: Data, *, seed: int = 0, progress: Progress = silent) -> keras.Model:
    """The network, trained on `data.train`; the same seed gives the same weights."""
    keras.utils.set_random_seed(seed)
    model = build_model()
    fit(
        model,
        data,
        objective_of=model,
        training=Training(epochs=EPOCHS, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE),
        stage="train float",
        progress=progress,
    )
    return model


def _conv(x: keras.KerasTensor, filters: int, size: int, name: str) -> keras.KerasTensor:
    return _normalized(layers.Conv2D(filters, size, padding="same", use_bias=False, name=name)(x), name)


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=_BN_MOMENTUM, name=f"{name}_bn")(x))
