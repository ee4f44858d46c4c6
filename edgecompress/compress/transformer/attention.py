"""MultiHeadAttention with fewer heads.

The layer's output is a sum over heads, y = b + sum_h A_h W_h, with A_h the attended values of head h and W_h its slice of the output
projection. So removing a head equals setting W_h to zero, exactly (Michel, Levy and Neubig 2019, section 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.activations import Curve, read_activation
from edgecompress.keras_graph.network import Array, Call, Network, Operator, Value

# Projections into heads: kernel [..., heads, size], bias [heads, size].
_INTO_HEADS = frozenset({"query", "key", "value", "gate"})
_OUT_OF_HEADS = "attention_output"
_OUTPUT_KERNEL = (_OUT_OF_HEADS, "kernel")
_PRODUCTS = frozenset({"Matmul", "Einsum", "Dot"})


def is_attention(operator: Operator) -> bool:
    return operator.kind is keras.layers.MultiHeadAttention


def obstacle(network: Network, operator: Operator) -> str:
    """Why its heads must stay; empty where nothing is in the way."""
    for call in network.calls_of(operator):
        if len(call.outputs) > 1:
            return "its attention scores are read, one for each head"
    return "" if _heads(operator) > 1 else "it has a single head"


def find_written_attention(network: Network) -> list[str]:
    """Products of keras.ops whose input is a softmax: attention that was written out, whose heads nothing in the graph tells apart."""
    producers = network.producers()
    return [
        call.operator.name
        for call in network.calls
        if call.operator.kind.__name__ in _PRODUCTS and any(_is_softmax(producers.get(value), producers) for value in call.inputs)
    ]


def output_kernel(operator: Operator) -> Array:
    """[heads, size, ...] the output projection."""
    return (operator.weights or [])[_weight_names(operator).index(_OUTPUT_KERNEL)]


def output_variable(layer: Any) -> Any:  # noqa: ANN401  Keras ships without types
    """The variable of `output_kernel` in a layer that is built."""
    return next(variable for variable in layer.weights if _name_of(variable) == _OUTPUT_KERNEL)


def keep_heads(operator: Operator, kept: Sequence[int]) -> None:
    """Slice every projection to these heads."""
    heads = np.asarray(kept, np.intp)
    weights = [_slice(weight, *names, heads) for names, weight in zip(_weight_names(operator), operator.weights or [], strict=True)]
    operator.config = {**(operator.config or {}), "num_heads": len(heads)}
    operator.weights = weights


def attention_macs(call: Call) -> int:
    """Multiply-accumulates of one use: projections, scores and weighted values."""
    query, value = call.inputs[0], _argument(call, 1, "value")
    key = _argument(call, 2, "key") or value
    if value is None or key is None:
        return 0
    places = {"query": _places(query.shape), "gate": _places(query.shape), _OUT_OF_HEADS: _places(query.shape)}
    places |= {"key": _places(key.shape), "value": _places(value.shape)}
    operator = call.operator
    kernels = {part: w for (part, name), w in zip(_weight_names(operator), operator.weights or [], strict=True) if name == "kernel"}
    projections = sum(places[part] * int(kernel.size) for part, kernel in kernels.items())
    axes = (operator.config or {}).get("attention_axes") or tuple(range(1, len(query.shape) - 1))
    attended = int(np.prod([key.shape[axis] or 1 for axis in axes]))
    sizes = sum(int(np.prod(kernels[part].shape[-2:])) for part in ("key", "value"))
    return projections + places["query"] * attended * sizes


def _is_softmax(call: Call | None, producers: Mapping[Value, Call]) -> bool:
    if call is None:
        return False
    if issubclass(call.operator.kind, keras.layers.Dropout):
        return _is_softmax(producers.get(call.inputs[0]), producers)
    activation = read_activation(call)
    return activation is not None and activation.curve is Curve.SOFTMAX


def _heads(operator: Operator) -> int:
    return int((operator.config or {})["num_heads"])


def _weight_names(operator: Operator) -> list[tuple[str, str]]:
    """(projection, "kernel" or "bias") of each weight; dropout's seed is a weight of its own."""
    return [_name_of(variable) for variable in operator.source.weights]


def _name_of(variable: Any) -> tuple[str, str]:  # noqa: ANN401
    part, name = ("", *variable.path.split("/"))[-2:]
    return part, name


def _slice(weight: Array, part: str, name: str, heads: NDArray[np.intp]) -> Array:
    if part in _INTO_HEADS:
        return np.take(weight, heads, axis=-2)
    return np.take(weight, heads, axis=0) if (part, name) == _OUTPUT_KERNEL else weight


def _argument(call: Call, place: int, name: str) -> Any:  # noqa: ANN401  a Value or None
    return call.args[place] if len(call.args) > place else call.kwargs.get(name)


def _places(shape: tuple[int | None, ...]) -> int:
    return int(np.prod([size or 1 for size in shape[1:-1]], dtype=np.int64))
