"""A model run call by call, without tracing it, so that every value inside can be looked at or changed.

The layers are the model's own, in inference mode. A value is dropped after its last reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from edgecompress.compress.layers import walk_layers
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.activations import Curve, read_activation
from edgecompress.keras_graph.network import Call, Network, Value
from edgecompress.keras_graph.walk import read_network

Tensor = Any
Observe = Callable[[Call, list[Tensor], list[Tensor]], None]
"""observe(call, inputs, outputs) after each call."""


def open_model(model: keras.Model) -> Network:
    """The model's graph; each operator's `function` runs the model's own layer or operation."""
    network = read_network(model)
    for operator in network.operators():
        operator.function = traced(operator.source) if is_grouped(operator.source) else operator.source
    return network


def is_grouped(layer: Any) -> bool:  # noqa: ANN401  a layer or an operation
    """Whether Keras compiles the layer anew at each call outside a traced function."""
    return int(getattr(layer, "groups", 1) or 1) > 1 and not isinstance(layer, keras.layers.GroupNormalization)


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of tensors as one graph, traced at its first call, for all batch sizes."""
    graphs: list[Callable[..., Any]] = []

    def run(*args: Any) -> Any:  # noqa: ANN401  tensors, or structures of them
        if not graphs:
            specs = keras.tree.map_structure(lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype), args)
            graphs.append(tf.function(function, autograph=False).get_concrete_function(*specs))
        return graphs[0](*args)

    return run


def calls_by_path(model: keras.Model, network: Network) -> dict[str, list[Call]]:
    """Every use of each layer that the graph shows, by the layer's path; layers inside composite layers are absent."""
    uses: dict[int, list[Call]] = {}
    for call in network.calls:
        uses.setdefault(id(call.operator.source), []).append(call)
    return {path: uses[id(layer)] for path, layer in walk_layers(model) if id(layer) in uses}


def require_calls(uses: Mapping[str, list[Call]], path: str, what: str) -> list[Call]:
    """The uses of one layer.

    Raises:
        RecipeError: it stands inside another layer, so that its values cannot be seen.
    """
    if path not in uses:
        raise RecipeError(
            f"{what}: layer {path!r} stands inside another layer, where its values cannot be seen",
            hint="leave it out, or choose a saliency that reads only weights or gradients",
        )
    return uses[path]


def run_calls(network: Network, inputs: Any, observe: Observe) -> None:  # noqa: ANN401  a tensor, or the model's structure of them
    """One batch through the whole network.

    Args:
        inputs: in the model's own structure.
    """
    values = input_values(network, inputs)
    last = last_readers(network)
    for index, call in enumerate(network.calls):
        outputs = run_call(call, values)
        observe(call, [values[value] for value in call.inputs], outputs)
        values.update(zip(call.outputs, outputs, strict=True))
        for value in [*call.inputs, *call.outputs]:
            if last.get(value, index) == index:
                values.pop(value, None)


def input_values(network: Network, inputs: Any) -> dict[Value, Tensor]:  # noqa: ANN401
    """The network's inputs as tensors."""
    flat = [keras.ops.convert_to_tensor(array) for array in keras.tree.flatten(inputs)]
    wanted = [value for value in keras.tree.flatten(network.input_structure) if isinstance(value, Value)]
    return {value: keras.ops.cast(tensor, value.dtype) for value, tensor in zip(wanted, flat, strict=True)}


def run_call(call: Call, values: Mapping[Value, Tensor]) -> list[Tensor]:
    """One operator on the values it reads."""
    args, kwargs = keras.tree.map_structure(lambda leaf: values[leaf] if isinstance(leaf, Value) else leaf, (call.args, call.kwargs))
    run = call.operator.function or call.operator.source
    return list(keras.tree.flatten(run(*args, **kwargs)))


def last_readers(network: Network) -> dict[Value, int]:
    """The index of the last call that reads each value; unread values are absent."""
    return {value: index for index, call in enumerate(network.calls) for value in call.inputs}


def activated_value(network: Network, call: Call) -> Value:
    """Where the units of a layer have their final activation: behind its BatchNormalization and nonlinearity, if it alone feeds them."""
    value = call.output
    reader = network.only_reader(value)
    while reader is not None and _belongs_to_the_layer(reader):
        value = reader.output
        reader = network.only_reader(value)
    return value


def normalization_of(network: Network, call: Call) -> keras.Layer | None:
    """The BatchNormalization that alone reads a layer's output."""
    reader = network.only_reader(call.output)
    return reader.operator.source if reader is not None and _is_normalization(reader) else None


def _belongs_to_the_layer(call: Call) -> bool:
    if _is_normalization(call) or issubclass(call.operator.kind, keras.layers.Dropout):
        return True
    activation = read_activation(call)
    # A softmax weighs the units against each other.
    return activation is not None and activation.curve is not Curve.SOFTMAX


def _is_normalization(call: Call) -> bool:
    return issubclass(call.operator.kind, keras.layers.BatchNormalization)
