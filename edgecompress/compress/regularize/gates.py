"""L0 by hard-concrete gates (Louizos, Welling, Kingma 2018): each set of channels has a gate z in [0, 1] that learns to close.

    training    u ~ U(0, 1),  s = sigmoid((log u - log(1 - u) + a) / beta),  z = min(1, max(0, s (zeta - gamma) + gamma))     (eq. 10, 11)
    penalty     P(z != 0) = sigmoid(a - beta log(-gamma / zeta))                                                              (eq. 12)
    at the end  z = min(1, max(0, sigmoid(a) (zeta - gamma) + gamma))                                                         (eq. 13)

with beta = 2/3, gamma = -0.1, zeta = 1.1, as in the paper's experiments. a ("log alpha") is what is learned. One sample serves a whole
batch. Gates stand on the outputs of the layers that make channels (after their normalization), and are multiplied into weights at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

BETA = 2.0 / 3.0
GAMMA = -0.1
ZETA = 1.1

# Keeps log u and log(1 - u) finite in float32.
_LEAST_NOISE = 1e-6


def sample_gates(log_alpha: Any, noise: Any) -> Any:  # noqa: ANN401  tensors of one shape
    """z of equations 10 and 11; `noise` is uniform in (0, 1)."""
    concrete = tf.sigmoid((tf.math.log(noise) - tf.math.log1p(-noise) + log_alpha) / BETA)
    return _stretch(concrete)


def final_gates(log_alpha: Any) -> Any:  # noqa: ANN401
    """z of equation 13: what stands for the gate's distribution after training."""
    return _stretch(tf.sigmoid(log_alpha))


def open_probability(log_alpha: Any) -> Any:  # noqa: ANN401
    """P(z != 0), equation 12."""
    return tf.sigmoid(log_alpha - BETA * math.log(-GAMMA / ZETA))


def initial_log_alpha(closed: float) -> float:
    """The a with which a gate is closed with this probability: equation 12, turned round."""
    return math.log((1.0 - closed) / closed) + BETA * math.log(-GAMMA / ZETA)


def _stretch(concrete: Any) -> Any:  # noqa: ANN401
    return tf.clip_by_value(concrete * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="edgecompress")
class HardConcreteGates(keras.layers.Layer):  # type: ignore[misc]  # Keras ships without types
    """All gates of a model: one layer, called wherever channels are made, on values [..., C].

    Args:
        places: for every place, [C] the number of each channel's gate; `gates` for a channel without one.
        gates: how many there are.
        start: a of every gate.
        speed: a is this many times the variable, so that one step of Adam moves it that much further than a weight.
        seed: of the noise. All places see the same sample in one step.
    """

    def __init__(self, places: Sequence[Sequence[int]], gates: int, start: float, speed: float, seed: int = 0, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.places = [list(place) for place in places]
        self.gates, self.start, self.speed, self.seed = gates, start, speed, seed
        self.logits = self.add_weight(name="logits", shape=(gates,), initializer=keras.initializers.Constant(start / speed))
        self.clock = self.add_weight(name="clock", shape=(), dtype="int32", initializer="zeros", trainable=False)
        self.built = True

    @property
    def log_alpha(self) -> Any:  # noqa: ANN401  a tensor [gates]
        return tf.convert_to_tensor(self.logits) * self.speed

    def call(self, inputs: Any, place: int, training: Any = None) -> Any:  # noqa: ANN401
        if training:
            clock = tf.convert_to_tensor(self.clock)
            noise = tf.random.stateless_uniform((self.gates,), [self.seed, clock], _LEAST_NOISE, 1.0 - _LEAST_NOISE)
            z = sample_gates(self.log_alpha, noise)
        else:
            z = final_gates(self.log_alpha)
        return inputs * tf.gather(tf.concat([z, [1.0]], axis=0), self.places[place])

    def compute_output_shape(self, input_shape: Any, **_: Any) -> Any:  # noqa: ANN401
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"places": self.places, "gates": self.gates, "start": self.start, "speed": self.speed, "seed": self.seed}
        return {**super().get_config(), **own}


class GateClock(keras.callbacks.Callback):  # type: ignore[misc]
    """A new sample of the gates for every optimizer step."""

    def __init__(self, gates: HardConcreteGates) -> None:
        super().__init__()
        self._gates = gates

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._gates.clock.assign_add(1)


class GatePenalty:
    """`strength` times the expected share of the gated weights that are not cut off, as a term of a loss.

    Args:
        sizes: [gates] weights behind each gate.
    """

    def __init__(self, gates: HardConcreteGates, sizes: np.ndarray[Any, Any], strength: float) -> None:
        self._gates, self._weights = gates, strength * sizes / sizes.sum()

    def __call__(self, x: Any, y: Any, y_pred: Any) -> Any:  # noqa: ANN401
        return tf.reduce_sum(open_probability(self._gates.log_alpha) * self._weights)
