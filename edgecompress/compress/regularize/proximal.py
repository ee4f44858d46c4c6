"""Proximal steps: what a penalty does to weights between two steps of the optimizer (Parikh and Boyd 2014, sections 2 and 6.5).

    l1           w <- sign(w) * max(|w| - t, 0)                              soft threshold: exact zeros
    l2           w <- w / (1 + t)                                            shrinks, never zero
    group lasso  w_g <- w_g * max(1 - t * sqrt(n_g) / ||w_g||_2, 0)          a whole group at once (Yuan and Lin 2006)

with t = learning rate * strength.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgecompress.compress.prune.kernels import Kernel
from edgecompress.compress.regularize.sets import ChannelSets

Step = Callable[[Any], None]
"""Given t, a scalar tensor, change the variables."""

# A group of zeros has no direction; it stays zero.
_SMALLEST_NORM = 1e-20


def soft_threshold(weights: Any, t: Any) -> Any:  # noqa: ANN401  tensors
    """l1's step."""
    return tf.sign(weights) * tf.maximum(tf.abs(weights) - t, 0.0)


def group_factors(squares: Any, sizes: Any, t: Any) -> Any:  # noqa: ANN401
    """What group lasso's step multiplies each group by.

    Args:
        squares: [groups] sums of squared weights.
        sizes: [groups] how many weights each has.
    """
    norms = tf.sqrt(tf.maximum(squares, _SMALLEST_NORM))
    return tf.maximum(1.0 - t * tf.sqrt(sizes) / norms, 0.0)


def l1_step(kernels: Sequence[Kernel]) -> Step:
    """Soft thresholds on all kernels."""

    def step(t: Any) -> None:  # noqa: ANN401
        for kernel in kernels:
            kernel.variable.assign(soft_threshold(kernel.variable.value, t))

    return step


def l2_step(kernels: Sequence[Kernel]) -> Step:
    """Shrinks all kernels."""

    def step(t: Any) -> None:  # noqa: ANN401
        for kernel in kernels:
            kernel.variable.assign(kernel.variable.value / (1.0 + t))

    return step


def group_step(sets: ChannelSets) -> Step:
    """Shrinks each set of channels, over all the layers that make it."""
    parts = sets.trained

    def step(t: Any) -> None:  # noqa: ANN401
        factors = tf.concat([group_factors(_squares(sets), sets.sizes, t), [1.0]], axis=0)
        for part in parts:
            part.variable.assign(part.variable.value * part.as_rows(factors))

    return step


def set_norms(sets: ChannelSets) -> NDArray[np.float32]:
    """[sets] ||w_g||_2 over kernels, biases, gamma and beta."""
    norms: NDArray[np.float32] = np.sqrt(_squares(sets).numpy())
    return norms


def _squares(sets: ChannelSets) -> Any:  # noqa: ANN401
    total = tf.zeros(sets.count + 1)
    for part in sets.trained:
        others = [axis for axis in range(len(part.variable.shape)) if axis != part.axis]
        total += tf.math.unsorted_segment_sum(tf.reduce_sum(tf.square(part.variable.value), others), part.index, sets.count + 1)
    return total[:-1]


class ProximalCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships without types
    """After each optimizer step, one proximal step with t = its learning rate times `strength`."""

    def __init__(self, step: Step, strength: float) -> None:
        super().__init__()
        self._step, self._strength = step, strength
        self._traced: Callable[[], None] | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Trace the step once, on the learning rate of the optimizer that trains."""
        optimizer = self.model.optimizer
        # After a step the optimizer shows the next one's rate, and 0 after the last: the rate of the step that was taken is kept here.
        rate = tf.Variable(tf.cast(optimizer.learning_rate, tf.float32), trainable=False)

        def take() -> None:
            self._step(rate * self._strength)
            rate.assign(tf.cast(optimizer.learning_rate, tf.float32))

        self._traced = tf.function(take, autograph=False)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._traced is not None:
            self._traced()
