"""Turn a `Network` back into a Keras functional model."""

import copy
from typing import Any

import keras

from edgecompress.errors import ModelError
from edgecompress.keras_graph.network import Call, Network, Operator, Value


def build_model(network: Network) -> Any:  # noqa: ANN401 - keras.Model has no type information
    """A fresh functional model with the network's layers, names and weights; batch size free.

    Raises:
        ModelError: a layer that cannot be made again from its config, or does not fit the shapes it is given.
    """
    tensors: dict[Value, Any] = {}
    for entry in network.inputs:
        tensors[entry.value] = keras.Input(shape=entry.value.shape[1:], dtype=entry.value.dtype, name=entry.name)
    made: dict[Operator, Any] = {}
    for call in network.calls:
        if call.operator not in made:
            made[call.operator] = _instance(call.operator)
        results = _invoke(call, made[call.operator], tensors)
        tensors.update(zip(call.outputs, results, strict=True))
    for operator, instance in made.items():
        _set_weights(operator, instance)
    model = keras.Model(_swap(network.input_structure, tensors), _swap(network.output_structure, tensors), name=network.name)
    model.output_names = list(network.output_names)
    return model


def _instance(operator: Operator) -> Any:  # noqa: ANN401
    if operator.config is None:
        return _renamed(operator)
    try:
        return operator.kind.from_config(operator.config)  # type: ignore[attr-defined]
    except (TypeError, ValueError, AttributeError) as error:
        if operator.source is not None and not operator.weights:
            return operator.source
        raise ModelError(
            f"{operator.describe()}: cannot be made again from its config: {str(error).splitlines()[0]}",
            hint="let get_config() return exactly what __init__ takes",
        ) from error


def _renamed(operator: Operator) -> Any:  # noqa: ANN401
    """The operation `operator` stands for, under the operator's name: a layer of another nested model may have the operation's own."""
    operation = operator.function
    if not isinstance(operation, keras.Operation) or operation.name == operator.name:
        return operation
    twin = copy.copy(operation)
    twin.name = operator.name
    twin._inbound_nodes, twin._outbound_nodes = [], []
    return twin


def _invoke(call: Call, instance: Any, tensors: dict[Value, Any]) -> list[Any]:  # noqa: ANN401
    args, kwargs = _swap((call.args, call.kwargs), tensors)
    try:
        results = keras.tree.flatten(instance(*args, **kwargs))
    except (TypeError, ValueError) as error:
        shapes = ", ".join(str(value.shape) for value in call.inputs)
        raise ModelError(f"{call.operator.describe()}: does not accept {shapes}: {str(error).splitlines()[0]}") from error
    if len(results) != len(call.outputs):
        raise ModelError(f"{call.operator.describe()}: gave {len(results)} tensors, {len(call.outputs)} expected")
    return list(results)


def _set_weights(operator: Operator, instance: Any) -> None:  # noqa: ANN401
    if operator.config is not None and operator.weights and instance is not operator.source:
        instance.set_weights(operator.weights)


def _swap(structure: Any, tensors: dict[Value, Any]) -> Any:  # noqa: ANN401
    return keras.tree.map_structure(lambda leaf: tensors[leaf] if isinstance(leaf, Value) else leaf, structure)
