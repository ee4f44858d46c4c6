"""Multiply-accumulates and parameters of a network, counted on Keras' own layers.

A convolution costs output positions x kernel height x kernel width x input channels of a group x output channels; padding counts, as in the
.tflite (`graph.count_macs`). Layers without weights cost nothing here.
"""

import math

import keras

from edgecompress.keras_graph.network import Call, Network
from edgecompress.keras_graph.weighted import is_transposed

_KERNEL_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def count_macs(call: Call) -> int:
    """Multiply-accumulates of one use of a layer; 0 for layers without a kernel."""
    operator = call.operator
    if not issubclass(operator.kind, _KERNEL_LAYERS) or not operator.weights:
        return 0
    kernel = operator.weights[0]
    if issubclass(operator.kind, keras.layers.Dense | keras.layers.EinsumDense):
        # Each weight is used once for every position along the axes that it does not contract.
        outputs = _elements(call.output.shape)
        return outputs * kernel.shape[0] if kernel.ndim == 2 else outputs * _elements(call.inputs[0].shape[-1:])
    if is_transposed(operator):
        return _positions(call.inputs[0].shape) * kernel.size
    if issubclass(operator.kind, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D):
        return _positions(call.output.shape) * (kernel.size + operator.weights[1].size)
    return _positions(call.output.shape) * kernel.size


def network_macs(network: Network) -> int:
    """Of one inference."""
    return sum(count_macs(call) for call in network.calls)


def network_parameters(network: Network) -> int:
    """Elements of all weights, each operator once."""
    return sum(int(weight.size) for operator in network.operators() for weight in operator.weights or [])


def _positions(shape: tuple[int | None, ...]) -> int:
    """Places of a feature map [N, ..., C]."""
    return _elements(shape[:-1])


def _elements(shape: tuple[int | None, ...]) -> int:
    return math.prod(size for size in shape if size is not None)
