"""A new order of a value's channels, taken up by the layers around it, so that the model computes the same without another operator.

Behind a convolution, channel order[p] moves to place p when the layer that makes the value writes its outputs in that order and the layer
that reads it expects them so; everything between works on each channel alone and follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.activations import Curve, read_activation
from edgecompress.keras_graph.network import Call, Network, Operator, Value
from edgecompress.keras_graph.weighted import is_convolution, is_dense, is_depthwise, is_weighted, kernel_of

_layers = keras.layers
_BLIND = (
    _layers.MaxPooling1D,
    _layers.MaxPooling2D,
    _layers.AveragePooling1D,
    _layers.AveragePooling2D,
    _layers.GlobalMaxPooling1D,
    _layers.GlobalMaxPooling2D,
    _layers.GlobalAveragePooling1D,
    _layers.GlobalAveragePooling2D,
    _layers.ZeroPadding1D,
    _layers.ZeroPadding2D,
    _layers.Cropping1D,
    _layers.Cropping2D,
    _layers.UpSampling1D,
    _layers.UpSampling2D,
    _layers.Dropout,
    _layers.SpatialDropout1D,
    _layers.SpatialDropout2D,
)
"""Layers that treat all channels alike."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Layers that take up a new order together.

    Attributes:
        end: the layer whose outputs (behind a value: whose inputs) are written in another order.
        between: layers with a parameter for each channel.
    """

    end: Operator
    between: tuple[Operator, ...]


def find_makers(network: Network, call: Call) -> Chain | None:
    """What must change when `call` is to read its input in another order; None when something else would notice."""
    between: list[Operator] = []
    producers = network.producers()
    value = call.inputs[0]
    while (maker := producers.get(value)) is not None and network.only_reader(value) is not None:
        operator = maker.operator
        if not _is_used_once(network, maker):
            return None
        if _mixes_channels(operator):
            return Chain(operator, tuple(between))
        if not _follow(operator, maker, between):
            return None
        value = maker.inputs[0]
    return None


def find_readers(network: Network, value: Value) -> Chain | None:
    """What must change when `value` is to be made in another order; None when something else would notice."""
    between: list[Operator] = []
    while (reader := network.only_reader(value)) is not None:
        operator = reader.operator
        if not _is_used_once(network, reader):
            return None
        if _mixes_channels(operator):
            return Chain(operator, tuple(between))
        if not _follow(operator, reader, between):
            return None
        value = reader.output
    return None


def write_outputs(chain: Chain, order: NDArray[np.intp]) -> None:
    """The chain's end makes channel order[p] at place p."""
    weights = chain.end.weights or []
    chain.end.weights = [weight[..., order] for weight in weights]
    _reorder(chain.between, order)


def read_inputs(chain: Chain, order: NDArray[np.intp]) -> None:
    """The chain's end expects channel order[p] at place p."""
    weights = chain.end.weights or []
    chain.end.weights = [np.take(weights[0], order, axis=-2), *weights[1:]]
    _reorder(chain.between, order)


def _reorder(operators: tuple[Operator, ...], order: NDArray[np.intp]) -> None:
    for operator in operators:
        weights = operator.weights or []
        if is_depthwise(operator):
            operator.weights = [np.take(weights[0], order, axis=-2), *(bias[order] for bias in weights[1:])]
        else:
            operator.weights = [weight[..., order] for weight in weights]


def _is_used_once(network: Network, call: Call) -> bool:
    return len(call.inputs) == 1 and len(call.outputs) == 1 and len(network.calls_of(call.operator)) == 1


def _mixes_channels(operator: Operator) -> bool:
    """A layer that reads all channels for each one it makes, and so takes any order on both sides."""
    if not is_weighted(operator) or not (is_convolution(operator) or is_dense(operator)):
        return False
    return int((operator.config or {}).get("groups", 1)) == 1 and _acts_on_elements(operator)


def _acts_on_elements(operator: Operator) -> bool:
    """Whether the layer's own activation looks at one number at a time."""
    function = keras.activations.get((operator.config or {}).get("activation"))
    return getattr(function, "__name__", "") not in ("softmax", "log_softmax", "glu", "")


def _follow(operator: Operator, call: Call, between: list[Operator]) -> bool:
    """Whether the order may pass through; layers with a parameter for each channel are noted."""
    kind = operator.kind
    if kind is keras.layers.BatchNormalization:
        between.append(operator)
        return (operator.config or {}).get("axis") in (-1, call.output.rank - 1)
    if kind is keras.layers.PReLU:
        between.append(operator)
        return True
    if is_depthwise(operator) and is_weighted(operator):
        between.append(operator)
        return kernel_of(operator).shape[-1] == 1 and _acts_on_elements(operator)
    activation = read_activation(call)
    if activation is not None:
        return activation.curve not in (Curve.SOFTMAX, Curve.OTHER)
    return kind in _BLIND
