"""Read a Keras model into a flat `Network`: nested models opened, operator nodes kept, weights copied."""

from typing import Any

import keras

from edgecompress.errors import ModelError
from edgecompress.keras_graph.network import Call, Network, NetworkInput, Operator, Value


def read_network(model: Any) -> Network:  # noqa: ANN401 - keras.Model has no type information
    """The graph of a functional or Sequential model, with every nested model opened.

    Weights are copied: nothing that a pass does reaches `model`.

    Raises:
        ModelError: a subclassed or unbuilt model, an unknown input size, channels-first data.
    """
    return _Reader().read(model)


class _Reader:
    """One walk; holds which operator stands for which Keras object, so that shared layers stay shared."""

    def __init__(self) -> None:
        self._operators: dict[int, Operator] = {}
        self._names: set[str] = set()
        self._calls: list[Call] = []

    def read(self, model: Any) -> Network:  # noqa: ANN401
        _check_backend()
        functional = _functional_of(model, path="")
        tensors: dict[int, Value] = {}
        inputs: list[NetworkInput] = []
        for tensor in keras.tree.flatten(functional._inputs_struct):
            name = tensor._keras_history.operation.name
            value = _value_of(tensor)
            _check_known_shape(name, value)
            self._names.add(name)
            tensors[id(tensor)] = value
            inputs.append(NetworkInput(name, value))
        self._open(functional, tensors, path="")
        return Network(
            name=model.name,
            inputs=inputs,
            calls=self._calls,
            input_structure=_swap(functional._inputs_struct, tensors),
            output_structure=_swap(functional._outputs_struct, tensors),
            output_names=list(functional.output_names),
        )

    def _open(self, functional: Any, tensors: dict[int, Value], path: str) -> None:  # noqa: ANN401
        """Append the calls of one functional graph; `tensors` already maps its inputs and receives the rest."""
        by_depth = functional._nodes_by_depth
        for depth in sorted(by_depth, reverse=True):
            for node in by_depth[depth]:
                if not node.is_input and not all(id(tensor) in tensors for tensor in node.outputs):
                    self._take(node, tensors, path)

    def _take(self, node: Any, tensors: dict[int, Value], path: str) -> None:  # noqa: ANN401
        operation = node.operation
        if isinstance(operation, keras.Model):
            self._open_nested(operation, node, tensors, path)
            return
        outputs = [_value_of(tensor) for tensor in node.outputs]
        args = _swap(node.arguments.args, tensors)
        kwargs = _swap(node.arguments.kwargs, tensors)
        self._calls.append(Call(self._operator(operation, path), args, kwargs, outputs))
        tensors.update((id(tensor), value) for tensor, value in zip(node.outputs, outputs, strict=True))

    def _open_nested(self, model: Any, node: Any, tensors: dict[int, Value], path: str) -> None:  # noqa: ANN401
        inner_path = f"{path}{model.name}/"
        functional = _functional_of(model, path=inner_path)
        given = _swap(node.arguments.args[0] if node.arguments.args else node.arguments.kwargs["inputs"], tensors)
        inner = dict(_pair_inputs(functional, given, inner_path))
        self._open(functional, inner, inner_path)
        results = [inner[id(tensor)] for tensor in keras.tree.flatten(functional._outputs_struct)]
        tensors.update((id(tensor), value) for tensor, value in zip(node.outputs, results, strict=True))

    def _operator(self, operation: Any, path: str) -> Operator:  # noqa: ANN401
        known = self._operators.get(id(operation))
        if known is None:
            known = self._operators[id(operation)] = self._read_operator(operation, path)
        return known

    def _read_operator(self, operation: Any, path: str) -> Operator:  # noqa: ANN401
        name = self._unique(operation.name, path)
        if not isinstance(operation, keras.layers.Layer):
            return Operator(name, type(operation), None, source=operation, function=operation)
        if getattr(operation, "data_format", None) == "channels_first":
            raise ModelError(
                f"{name} ({type(operation).__name__}): data_format is channels_first; int8 kernels want channels_last",
                hint="rebuild the model with data_format='channels_last'",
            )
        config = _config_of(operation, name)
        return Operator(name, type(operation), config, weights=operation.get_weights(), source=operation)

    def _unique(self, name: str, path: str) -> str:
        """The layer's own name; inner layers that collide get their model's name in front."""
        candidate = name
        for prefix in reversed(path.split("/")[:-1]):
            if candidate not in self._names:
                break
            candidate = f"{prefix}_{candidate}"
        number = 0
        base = candidate
        while candidate in self._names:
            number += 1
            candidate = f"{base}_{number}"
        self._names.add(candidate)
        return candidate


def _check_backend() -> None:
    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"Keras runs on {keras.backend.backend()!r}; conversion to .tflite needs the tensorflow backend",
            hint="set KERAS_BACKEND=tensorflow before Python starts",
        )


def _functional_of(model: Any, path: str) -> Any:  # noqa: ANN401
    where = path.rstrip("/") or getattr(model, "name", type(model).__name__)
    if isinstance(model, keras.Sequential):
        if model._functional is None:
            raise ModelError(
                f"{where}: this Sequential has no input shape yet",
                hint="start it with keras.Input(shape=...), or call it once on real data",
            )
        return model._functional
    if hasattr(model, "_nodes_by_depth"):
        return model
    raise ModelError(
        f"{where}: {type(model).__name__} is a subclassed model, whose graph Keras does not record",
        hint="rebuild it as keras.Model(inputs, outputs); a custom layer inside a functional model is fine",
    )


def _check_known_shape(name: str, value: Value) -> None:
    if any(size is None for size in value.shape[1:]):
        shown = ", ".join("?" if size is None else str(size) for size in value.shape[1:])
        raise ModelError(
            f"unknown shapes: input {name!r} is ({shown}); every size but the batch must be a number",
            hint="rebuild the model with a fixed input, such as keras.Input(shape=(96, 96, 3)), and copy the weights with set_weights",
        )


def _value_of(tensor: Any) -> Value:  # noqa: ANN401
    return Value((None, *tensor.shape[1:]), str(tensor.dtype))


def _swap(structure: Any, tensors: dict[int, Value]) -> Any:  # noqa: ANN401
    return keras.tree.map_structure(lambda leaf: tensors[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf, structure)


def _pair_inputs(functional: Any, given: Any, path: str) -> list[tuple[int, Value]]:  # noqa: ANN401
    """(id of the inner input tensor, outer value), matched by key for dicts and by position otherwise."""
    wanted = functional._inputs_struct
    if isinstance(given, dict):
        by_name = wanted if isinstance(wanted, dict) else {tensor.name: tensor for tensor in keras.tree.flatten(wanted)}
        return [(id(tensor), given[key]) for key, tensor in by_name.items()]
    flat_wanted, flat_given = keras.tree.flatten(wanted), keras.tree.flatten(given)
    if len(flat_wanted) != len(flat_given):
        raise ModelError(f"{path.rstrip('/')}: takes {len(flat_wanted)} tensors but is called with {len(flat_given)}")
    return [(id(tensor), value) for tensor, value in zip(flat_wanted, flat_given, strict=True)]


def _config_of(layer: Any, name: str) -> dict[str, Any]:  # noqa: ANN401
    """The layer's config under its new name, computing in float32 whatever the mixed-precision policy was."""
    try:
        config = dict(layer.get_config())
    except NotImplementedError as error:
        raise ModelError(
            f"{name} ({type(layer).__name__}): this custom layer cannot describe itself: {str(error).splitlines()[0]}",
            hint="give the class a get_config() that returns its constructor's arguments",
        ) from error
    config["name"] = name
    if "dtype" in config:
        config["dtype"] = "float32" if "float" in str(layer.dtype_policy.compute_dtype) else layer.dtype_policy.compute_dtype
    return config
