"""Cross-layer equalization: weights moved between neighbouring layers so that both use their range well; outputs stay what they were.

For layers 1 and 2 with nothing between them but a positively homogeneous function, f(s x) = s f(x) for s > 0, channel i may be divided by
s_i in layer 1 and multiplied by it in layer 2. The best s_i for one scale a tensor is

    s_i = sqrt(r1_i r2_i) / r2_i        r1_i = max |w1| into channel i, r2_i = max |w2| out of it

(Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", equation 11), repeated over all pairs until
nothing moves. With one scale a channel the first layer does not care any more, the second (depthwise, above all) and the activations do.
"""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.activations import Curve, read_activation
from edgecompress.keras_graph.network import Call, Network, Operator, as_float32, as_float64
from edgecompress.keras_graph.weighted import (
    bias_of,
    is_depthwise,
    is_transposed,
    is_weighted,
    kernel_of,
    map_kernel,
    output_channels,
    scale_inputs,
    scale_outputs,
)

_RELU6 = 6.0
_HOMOGENEOUS = frozenset({Curve.RELU, Curve.LEAKY_RELU})
# What hands each channel on by itself, and scales with it.
_PASSING = (
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
)
_MOST_SWEEPS = 50
# A sweep that changes no factor by more than this is the last.
_SETTLED = 1e-3


@dataclass(frozen=True)
class EqualizedPair:
    """Two neighbouring layers.

    Attributes:
        smallest, largest: of the factors s_i by which channels of the first were divided, over all sweeps together.
    """

    first: str
    second: str
    smallest: float
    largest: float


@dataclass(frozen=True)
class EqualizeNote:
    """What equalization did.

    Attributes:
        replaced: ReLU6 layers that became ReLU, in order.
        left: layers without a partner.
    """

    pairs: tuple[EqualizedPair, ...]
    replaced: tuple[str, ...]
    left: tuple[str, ...]
    sweeps: int


@dataclass(frozen=True, eq=False)
class _Pair:
    first: Operator
    second: Operator


def equalize(network: Network, *, replace_relu6: bool = False) -> EqualizeNote:
    """Equalize every pair of neighbouring layers of a prepared network, in place.

    Args:
        replace_relu6: let ReLU6 between two layers become ReLU; outputs change where an activation went past 6.
    """
    replaced = _replace_relu6(network) if replace_relu6 else ()
    pairs = find_pairs(network)
    totals = [np.ones(output_channels(pair.first)) for pair in pairs]
    sweeps, moved = 0, 2 * _SETTLED
    while pairs and moved > _SETTLED and sweeps < _MOST_SWEEPS:
        sweeps, moved = sweeps + 1, 0.0
        for pair, total in zip(pairs, totals, strict=True):
            factors = _balance(pair)
            total *= factors
            moved = max(moved, float(np.max(np.abs(factors - 1))))
    partnered = {operator for pair in pairs for operator in (pair.first, pair.second)}
    return EqualizeNote(
        pairs=tuple(
            EqualizedPair(pair.first.name, pair.second.name, float(total.min()), float(total.max()))
            for pair, total in zip(pairs, totals, strict=True)
        ),
        replaced=replaced,
        left=tuple(operator.name for operator in network.operators() if is_weighted(operator) and operator not in partnered),
        sweeps=sweeps,
    )


def find_pairs(network: Network) -> list[_Pair]:
    """Layers whose output goes, through homogeneous functions alone, into one other layer and nowhere else; in order."""
    pairs = []
    for call in network.calls:
        if _is_used_once(network, call):
            reader = network.only_reader(call.output)
            while reader is not None and _hands_on(reader):
                reader = network.only_reader(reader.output)
            if reader is not None and _is_used_once(network, reader):
                pairs.append(_Pair(call.operator, reader.operator))
    return pairs


def _is_used_once(network: Network, call: Call) -> bool:
    return is_weighted(call.operator) and len(network.calls_of(call.operator)) == 1


def _hands_on(call: Call) -> bool:
    activation = read_activation(call)
    return issubclass(call.operator.kind, _PASSING) if activation is None else activation.curve in _HOMOGENEOUS


def _replace_relu6(network: Network) -> tuple[str, ...]:
    """ReLU in place of the ReLU6 that stand between two layers."""
    replaced = []
    for call in network.calls:
        activation = read_activation(call)
        if activation is None or activation.curve is not Curve.CAPPED_RELU or activation.cap != _RELU6:
            continue
        producer, reader = network.producers().get(call.inputs[0]), network.only_reader(call.output)
        if producer is not None and reader is not None and is_weighted(producer.operator) and is_weighted(reader.operator):
            name = call.operator.name
            call.operator = Operator(name, keras.layers.ReLU, {"name": name}, weights=[])
            call.args, call.kwargs = (call.inputs[0],), {}
            replaced.append(name)
    return tuple(replaced)


def _balance(pair: _Pair) -> NDArray[np.float64]:
    """[C] the factors of one sweep, applied."""
    outgoing, incoming = output_ranges(pair.first), input_ranges(pair.second)
    alive = (outgoing > 0) & (incoming > 0)
    factors = np.ones(len(outgoing))
    factors[alive] = np.sqrt(outgoing[alive] / incoming[alive])
    first, second = pair.first, pair.second
    weights = [as_float32(scale_outputs(first, 1 / factors))]
    if len(first.weights or []) > 1:
        weights.append(as_float32(bias_of(first) / factors))
    first.weights = weights
    map_kernel(second, lambda _: as_float32(scale_inputs(second, factors)))
    return factors


def output_ranges(operator: Operator) -> NDArray[np.float64]:
    """[C] the largest magnitude among the weights of each output channel."""
    kernel = np.abs(as_float64(kernel_of(operator)))
    if is_transposed(operator):
        kernel = kernel.swapaxes(-1, -2)
    ranges: NDArray[np.float64] = kernel.reshape(-1, output_channels(operator)).max(axis=0)
    return ranges


def input_ranges(operator: Operator) -> NDArray[np.float64]:
    """[in] the largest magnitude among the weights that read each input channel."""
    kernel = np.abs(as_float64(kernel_of(operator)))
    inputs, outputs = kernel.shape[-2:]
    ranges: NDArray[np.float64]
    if is_depthwise(operator):
        ranges = kernel.reshape(-1, inputs, outputs).max(axis=(0, 2))
    elif is_transposed(operator):
        ranges = kernel.reshape(-1, outputs).max(axis=0)
    else:
        groups = int((operator.config or {}).get("groups", 1))
        ranges = kernel.reshape(-1, inputs, groups, outputs // groups).max(axis=(0, 3)).T.ravel()
    return ranges
