"""Weights that are zero when a training starts are zero when it ends, at the cost of one product a step.

Adam moves a weight by m / (sqrt(v) + epsilon), and both moments stay 0 while the gradient is 0 (Kingma and Ba 2015, algorithm 1): masking
the gradient from the first step on keeps the weight where it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgecompress.compress.layers import walk_layers

_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel")


class ZeroKeepingAdam(keras.optimizers.Adam):  # type: ignore[misc]  # Keras ships without types
    """Adam that leaves alone, from its first step on, what the masks forbid.

    Args:
        masks: for some variables, which of their elements may move.
    """

    def __init__(self, learning_rate: Any, masks: Iterable[tuple[keras.Variable, NDArray[np.bool_]]]) -> None:  # noqa: ANN401
        super().__init__(learning_rate)
        self._masks = {id(variable): tf.constant(mask) for variable, mask in masks}

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[keras.Variable] | None = None) -> None:
        """As any optimizer's; gradients of masked elements count as 0, whatever they are (infinite ones too)."""
        variables = list(self._trainable_variables if trainable_variables is None else trainable_variables)
        masked = [self._mask(gradient, variable) for gradient, variable in zip(grads, variables, strict=True)]
        super().apply(masked, variables)

    def _mask(self, gradient: Any, variable: keras.Variable) -> Any:  # noqa: ANN401
        mask = self._masks.get(id(variable))
        return gradient if mask is None or gradient is None else tf.where(mask, gradient, tf.zeros_like(gradient))


def zero_masks(model: keras.Model) -> list[tuple[keras.Variable, NDArray[np.bool_]]]:
    """Where the variables of `model` are not to be kept at zero; only variables of which some elements are.

    Kept are kernel weights that are exactly zero, and the biases of channels whose kernel is zero. So are gamma and beta of a
    normalization where both are zero. A variable of zeros only was initialised so, and is free.
    """
    masks: dict[int, tuple[keras.Variable, NDArray[np.bool_]]] = {}
    for _, layer in walk_layers(model):
        for variable, zero in (*_kernel_zeros(layer), *_normalization_zeros(layer)):
            if variable.trainable and zero.any() and not zero.all():
                masks.setdefault(id(variable), (variable, ~zero))
    return list(masks.values())


def _kernel_zeros(layer: keras.Layer) -> list[tuple[keras.Variable, NDArray[np.bool_]]]:
    found = [(v, v.numpy() == 0) for name in _KERNELS if isinstance(v := getattr(layer, name, None), keras.Variable)]
    bias = getattr(layer, "bias", None)
    if len(found) == 1 and isinstance(bias, keras.Variable) and len(bias.shape) == 1:
        dead = _dead_channels(layer, found[0][1])
        if dead is not None and len(dead) == bias.shape[0]:
            found.append((bias, dead & (bias.numpy() == 0)))
    return found


def _dead_channels(layer: keras.Layer, zero: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """[C] whether all weights of an output channel are zero; None where the output's axes are not those of the bias."""
    if isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D):
        dead: NDArray[np.bool_] = zero.all(axis=tuple(range(zero.ndim - 2))).reshape(-1)
        return dead
    if isinstance(layer, keras.layers.Conv1DTranspose | keras.layers.Conv2DTranspose | keras.layers.Conv3DTranspose):
        zero = np.swapaxes(zero, -1, -2)
    return np.asarray(zero.all(axis=tuple(range(zero.ndim - 1))))


def _normalization_zeros(layer: keras.Layer) -> list[tuple[keras.Variable, NDArray[np.bool_]]]:
    gamma, beta = getattr(layer, "gamma", None), getattr(layer, "beta", None)
    if not isinstance(gamma, keras.Variable) or not isinstance(beta, keras.Variable):
        return []
    zero = (gamma.numpy() == 0) & (beta.numpy() == 0)
    return [(gamma, zero), (beta, zero)]
