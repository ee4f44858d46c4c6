"""silu, gelu and others as activations that int8 runtimes compute in one cheap operator, however they were written.

    hard_swish(x) = x * relu6(x + 3) / 6  ~ silu(x)    Howard et al. 2019 (MobileNetV3), section 5.2: at most 0.15 away, at x = +-3
    hard_sigmoid(x) = relu6(x + 3) / 6    ~ sigmoid(x)
    relu(x)                               the limit of silu, gelu, mish, softplus and elu for large |x|

Recognized are layers (`Activation`, `ELU`, `PReLU` ...), the `activation` of a layer with weights, keras.ops nodes, and silu written as
x * sigmoid(x). Activations inside recurrent cells and wrappers are left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from edgecompress.compress.replace.convolutions import SkippedLayer
from edgecompress.keras_graph.activations import Activation, Curve, name_of_function, read_activation
from edgecompress.keras_graph.network import Call, Network, Operator, Value
from edgecompress.recipe.replace import ActivationTable, CheapActivation

_KERAS_NAME: Mapping[CheapActivation, str] = {
    "relu": "relu",
    "relu6": "relu6",
    "leaky_relu": "leaky_relu",
    "hard_swish": "hard_silu",
    "hard_sigmoid": "hard_sigmoid",
}
_KEY_OF_CURVE: Mapping[Curve, str] = {
    Curve.SILU: "silu",
    Curve.GELU: "gelu",
    Curve.HARD_SWISH: "hard_swish",
    Curve.LEAKY_RELU: "leaky_relu",
    Curve.PRELU: "prelu",
    Curve.SIGMOID: "sigmoid",
}
_KEY_OF_WORD = frozenset({"mish", "elu", "selu", "celu", "softplus"})
_SHAPE_ONLY = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute, keras.layers.Dropout)


@dataclass(frozen=True)
class ReplacedActivation:
    """One activation that was exchanged: where it stands, what it was, what it is."""

    layer: str
    before: str
    after: CheapActivation


def replace_activations(
    network: Network, table: ActivationTable, paths: Mapping[Operator, str], excluded: frozenset[Operator]
) -> tuple[list[ReplacedActivation], list[SkippedLayer]]:
    """Exchange every activation that `table` names.

    Args:
        paths: of the operators, for the note.
        excluded: operators that keep theirs.
    """
    replaced: list[ReplacedActivation] = []
    skipped: list[SkippedLayer] = []
    if table.silu is not None:
        replaced += _join_products(network, table.silu, paths, excluded)
    last = _operators_of_outputs(network)
    for operator, word, key in list(_activations(network)):
        after = getattr(table, key)
        path = paths.get(operator, operator.name)
        if after is None or after == key or operator in excluded:
            continue
        if operator in last:
            skipped.append(SkippedLayer(path, f"its {word} makes an output of the model"))
        elif "recurrent_activation" in (operator.config or {}):
            skipped.append(SkippedLayer(path, f"its {word} is inside a recurrent cell"))
        else:
            _exchange(network, operator, after)
            replaced.append(ReplacedActivation(path, word, after))
    return replaced, skipped


def _activations(network: Network) -> Iterator[tuple[Operator, str, str]]:
    """Operators with an activation that the table has a key for, what the user wrote, and the key."""
    for operator in network.operators():
        found = read_activation(network.calls_of(operator)[0]) or _own_activation(operator)
        key = None if found is None else _key_of(found)
        if found is not None and key is not None:
            yield operator, found.word, key


def _own_activation(operator: Operator) -> Activation | None:
    """That of a layer with weights: a name, a function or a layer in its config."""
    written = (operator.config or {}).get("activation")
    if written is None or not operator.is_layer:
        return None
    function = keras.activations.get(written)
    if isinstance(function, keras.layers.Layer):
        stand_in = Operator(operator.name, type(function), function.get_config())
    else:
        stand_in = Operator(operator.name, keras.layers.Activation, {"activation": name_of_function(function)})
        if keras.activations.get(function) is not function or name_of_function(function) not in dir(keras.activations):
            return None
    return read_activation(Call(stand_in, (), {}, []))


def _key_of(activation: Activation) -> str | None:
    key = _KEY_OF_CURVE.get(activation.curve)
    return activation.word.lower() if key is None and activation.word.lower() in _KEY_OF_WORD else key


def _exchange(network: Network, operator: Operator, after: CheapActivation) -> None:
    """In place, so that a shared operator stays shared."""
    name = _KERAS_NAME[after]
    if read_activation(network.calls_of(operator)[0]) is not None:
        for call in network.calls_of(operator):
            call.args, call.kwargs = (call.inputs[0],), {}
        operator.kind, operator.config = keras.layers.Activation, {"name": operator.name, "activation": name}
        operator.weights, operator.function, operator.source = [], None, None
        return
    config = operator.config or {}
    own = getattr(getattr(operator.source, "activation", None), "weights", ())
    if own and operator.weights is not None:
        operator.weights = operator.weights[: len(operator.weights) - len(own)]
    operator.config = {**config, "activation": name}


def _join_products(
    network: Network, after: CheapActivation, paths: Mapping[Operator, str], excluded: frozenset[Operator]
) -> list[ReplacedActivation]:
    """x * sigmoid(x), as an operation or a layer, becomes one activation under the product's name."""
    replaced = []
    for call in list(network.calls):
        gate = _gate_of(network, call)
        if gate is None or call.operator in excluded or call.outputs[0] in _output_values(network):
            continue
        replaced.append(ReplacedActivation(paths.get(call.operator, call.operator.name), "x * sigmoid(x)", after))
        name = call.operator.name
        call.operator = Operator(name, keras.layers.Activation, {"name": name, "activation": _KERAS_NAME[after]}, weights=[])
        call.args, call.kwargs = (gate.inputs[0],), {}
        network.calls.remove(gate)
    return replaced


def _gate_of(network: Network, call: Call) -> Call | None:
    """The sigmoid of a product x * sigmoid(x) that nobody else reads."""
    if call.operator.kind.__name__ != "Multiply" or len(call.inputs) != 2:
        return None
    left, right = call.inputs
    producers = network.producers()
    for x, gated in ((left, right), (right, left)):
        gate = producers.get(gated)
        found = None if gate is None else read_activation(gate)
        if gate is not None and found is not None and found.curve is Curve.SIGMOID and gate.inputs == [x]:
            return gate if network.only_reader(gated) is call else None
    return None


def _operators_of_outputs(network: Network) -> set[Operator]:
    producers = network.producers()
    return {producers[value].operator for value in _output_values(network) if value in producers}


def _output_values(network: Network) -> set[Value]:
    """The model's outputs, and what only changes its shape on the way to one."""
    producers = network.producers()
    found: set[Value] = set()
    pending: list[Any] = list(network.outputs)
    while pending:
        value = pending.pop()
        found.add(value)
        maker = producers.get(value)
        if maker is not None and issubclass(maker.operator.kind, _SHAPE_ONLY):
            pending += maker.inputs
    return found
