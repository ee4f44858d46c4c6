"""Layers whose kernel becomes int8 weights: where their output channels lie, and how to scale them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.network import Array, Operator, as_float32, as_float64

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)
WEIGHTED = (*_CONVOLUTIONS, *_DEPTHWISE, *_TRANSPOSED, keras.layers.Dense)


def is_weighted(operator: Operator) -> bool:
    """True for convolutions of every kind and dense layers with a plain kernel (no LoRA, not already quantized, no user's subclass)."""
    return operator.kind in WEIGHTED and operator.weights is not None and 1 <= len(operator.weights) <= 2


def is_convolution(operator: Operator) -> bool:
    return issubclass(operator.kind, _CONVOLUTIONS)


def is_depthwise(operator: Operator) -> bool:
    return issubclass(operator.kind, _DEPTHWISE)


def is_transposed(operator: Operator) -> bool:
    return issubclass(operator.kind, _TRANSPOSED)


def is_dense(operator: Operator) -> bool:
    return issubclass(operator.kind, keras.layers.Dense)


def kernel_of(operator: Operator) -> Array:
    if not operator.weights:
        raise ValueError(f"{operator.describe()} has no kernel")
    return operator.weights[0]


def output_channels(operator: Operator) -> int:
    """Length of the bias."""
    shape = kernel_of(operator).shape
    if is_depthwise(operator):
        return int(shape[-2] * shape[-1])
    return int(shape[-2] if is_transposed(operator) else shape[-1])


def bias_of(operator: Operator) -> NDArray[np.float64]:
    """[C] in double precision; zeros when the layer has none."""
    if operator.weights is not None and len(operator.weights) == 2:
        return as_float64(operator.weights[1])
    return np.zeros(output_channels(operator))


def set_kernel_and_bias(operator: Operator, kernel: Array, bias: Array) -> None:
    """Give the layer these weights, and a bias if it had none."""
    if operator.config is None:
        raise ValueError(f"{operator.describe()} is not a layer")
    operator.config["use_bias"] = True
    operator.weights = [as_float32(kernel), as_float32(bias)]


def scale_outputs(operator: Operator, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """The kernel with output channel c multiplied by scale[c]."""
    kernel = as_float64(kernel_of(operator))
    if is_depthwise(operator):
        return kernel * scale.reshape(kernel.shape[-2:])
    if is_transposed(operator):
        return kernel * scale[:, np.newaxis]
    return kernel * scale


def scale_inputs(operator: Operator, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """The kernel with input channel c multiplied by scale[c]."""
    kernel = as_float64(kernel_of(operator))
    if is_depthwise(operator):
        return kernel * scale[:, np.newaxis]
    if is_transposed(operator):
        return kernel * scale
    return kernel * _per_group(operator, scale)


def offset_response(operator: Operator, offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """[C] what a constant input, offset[c] in channel c and no border, adds to each output channel.

    Not defined for transposed convolutions, whose overlap differs from place to place.
    """
    kernel = as_float64(kernel_of(operator))
    if is_depthwise(operator):
        taps: NDArray[np.float64] = kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0)
        return (taps * offset[:, np.newaxis]).reshape(-1)
    total: NDArray[np.float64] = (kernel * _per_group(operator, offset)).reshape(-1, kernel.shape[-1]).sum(axis=0)
    return total


def _per_group(operator: Operator, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[in / groups, out] the input channel's value as each output channel of a grouped convolution sees it."""
    outputs = output_channels(operator)
    groups = int((operator.config or {}).get("groups", 1))
    by_group = values.reshape(groups, -1).T
    return np.repeat(by_group, outputs // groups, axis=1)


def spatial_sizes(config: dict[str, Any], key: str, rank: int) -> tuple[int, ...]:
    """`kernel_size`, `strides` or `dilation_rate` as one number per spatial axis."""
    value = config.get(key, 1)
    return (value,) * rank if isinstance(value, int) else tuple(int(size) for size in value)


def map_kernel(operator: Operator, change: Callable[[Array], Array]) -> None:
    """Replace the kernel and leave the bias."""
    if operator.weights is None:
        raise ValueError(f"{operator.describe()} has no kernel")
    operator.weights = [change(operator.weights[0]), *operator.weights[1:]]
