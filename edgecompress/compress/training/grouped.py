"""Grouped convolutions that train fast on a processor: one convolution a group, then a concatenation.

    y[..., outputs of g] = conv(x[..., inputs of g], kernel[..., outputs of g])    for each group g

TensorFlow has no gradient of a grouped convolution on a CPU, so Keras compiles each of them with XLA, whose gradient of the kernel took
18 to 190 times as long as the convolutions of the groups (3x3 on 16 to 128 channels, 2 to 32 groups, 2 cores).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import nn as keras_nn

# Every layer that convolves, a user's own as well, comes by here.
_keras_conv = keras_nn.conv


@contextmanager
def groups_apart() -> Iterator[None]:
    """While the block runs, grouped convolutions are computed group by group; as before where there is a GPU, which has kernels for them.

    For training only: what is traced in here for a file would hold the parts.
    """
    if tf.config.list_physical_devices("GPU"):
        yield
        return
    keras_nn.conv = convolve_groups
    try:
        yield
    finally:
        keras_nn.conv = _keras_conv


def convolve_groups(
    inputs: Any,  # noqa: ANN401 - Keras ships without types
    kernel: Any,  # noqa: ANN401
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Any:  # noqa: ANN401
    """What Keras' own `conv` gives.

    Args:
        inputs: [batch, ..., i], as many places as the kernel has axes of taps.
        kernel: [..., i / groups, o].
    """
    settings = {"strides": strides, "padding": padding, "data_format": data_format, "dilation_rate": dilation_rate}
    channels, channels_a_group = inputs.shape[-1], kernel.shape[-2]
    if data_format == "channels_first" or channels == channels_a_group:
        return _keras_conv(inputs, kernel, **settings)
    groups = channels // channels_a_group
    parts = zip(tf.split(inputs, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    return tf.concat([_keras_conv(part, columns, **settings) for part, columns in parts], axis=-1)
