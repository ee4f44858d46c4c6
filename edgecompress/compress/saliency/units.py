"""A layer's kernel as rows, one per neuron or channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.layers import require_layers, walk_layers
from edgecompress.errors import RecipeError
from edgecompress.recipe.saliency import Unit

_LAST_AXIS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


def unit_of(layer: keras.Layer) -> Unit:
    """What the outputs of a layer are called."""
    return Unit.NEURON if isinstance(layer, keras.layers.Dense) else Unit.CHANNEL


def find_layers(model: keras.Model, paths: Sequence[str]) -> dict[str, keras.Layer]:
    """The layers at these paths, in the order asked for.

    Raises:
        RecipeError: a path names no layer, or one without neurons or channels.
    """
    known = dict(walk_layers(model))
    require_layers(list(known), paths, "saliency")
    for path in paths:
        if path not in known or not isinstance(known[path], (*_LAST_AXIS, *_DEPTHWISE, *_TRANSPOSED, *_SEPARABLE)):
            raise RecipeError(
                f"saliency: {path!r} has no neurons or channels of its own",
                hint="Dense, Conv, DepthwiseConv, SeparableConv and ConvTranspose layers have",
            )
    return {path: known[path] for path in paths}


def kernel_variable(layer: keras.Layer) -> keras.Variable:
    """The weight whose units are scored: of a separable convolution the pointwise part, which makes its channels."""
    return layer.pointwise_kernel if isinstance(layer, _SEPARABLE) else layer.kernel


def as_rows(layer: keras.Layer, kernel: Any) -> NDArray[np.floating]:  # noqa: ANN401  a tensor or an array of the kernel's shape
    """[units, weights of a unit]."""
    array = np.asarray(kernel)
    if isinstance(layer, _DEPTHWISE):
        return array.reshape(-1, array.shape[-2] * array.shape[-1]).T
    if isinstance(layer, _TRANSPOSED):
        array = np.swapaxes(array, -1, -2)
    return array.reshape(-1, array.shape[-1]).T
