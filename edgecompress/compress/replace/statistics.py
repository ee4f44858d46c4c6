"""Means and variances of BatchNormalization, measured anew after the layers before it have changed.

A kernel that lost part of its energy gives smaller outputs than the normalization behind it has seen, and over many layers the signal
dies. The plain average over some batches of the training data takes the place of the moving one (Yu and Huang 2019, "Universally
Slimmable Networks", there called post-statistics).
"""

from __future__ import annotations

import keras

from edgecompress.compress.data import Data, train_batches
from edgecompress.compress.layers import walk_layers
from edgecompress.compress.training.grouped import groups_apart

_SAMPLES = 512


def renew_statistics(model: keras.Model, data: Data, *, batch_size: int) -> int:
    """Measure in place on the first training inputs; how many batches were read.

    0 without training data, without normalizations, or when all are frozen.
    """
    found = [layer for _, layer in walk_layers(model) if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    if not found or data.train is None:
        return 0
    momenta = [layer.momentum for layer in found]
    count = 0
    try:
        for x, _ in train_batches(data, model, samples=_SAMPLES, batch_size=batch_size, stage="replace"):
            count += 1
            for layer in found:
                # The mean of the first k batches, from that of the first k - 1.
                layer.momentum = (count - 1) / count
            with groups_apart():
                model(x, training=True)
    finally:
        for layer, momentum in zip(found, momenta, strict=True):
            layer.momentum = momentum
    return count
