"""A model made ready for int8: one idea a layer, normalizations in the weights, nothing that only training needs."""

from dataclasses import dataclass
from typing import Any

from edgecompress.keras_graph.affine import read_affine
from edgecompress.keras_graph.decompose import (
    drop_training_only,
    multiply_instead_of_square,
    open_time_distributed,
    split_activations,
    split_averages,
    split_hard_sigmoids,
    split_many_inputs,
    split_scaled_sums,
    split_separable,
)
from edgecompress.keras_graph.fold import fold_affine
from edgecompress.keras_graph.network import Call, Network, NetworkInput, Value
from edgecompress.keras_graph.quirks import make_biases_differ
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.recurrent import open_recurrent
from edgecompress.keras_graph.upsample import resize_instead_of_repeat
from edgecompress.keras_graph.walk import read_network


@dataclass(frozen=True)
class Prepared:
    """A prepared Keras model, and what could not be simplified: one sentence each, naming the layer."""

    model: Any
    notes: tuple[str, ...]


def prepare_noted(model: Any) -> Prepared:  # noqa: ANN401 - keras.Model has no type information
    """`prepare`, together with its notes."""
    network = prepare_network(model)
    return Prepared(build_model(network), tuple(network.notes))


def prepare(model: Any) -> Any:  # noqa: ANN401
    """A flat functional copy of `model` that computes the same, in the form that int8 runtimes like.

    Nested models are opened; BatchNormalization, Normalization, Rescaling and arithmetic with constants are folded into the weights beside
    them; separable convolutions and fused activations are split; dropout, noise and augmentation are gone. Outputs equal those of `model`
    within float32 rounding (1e-5 of the largest output). Layers keep their names. `model` is not changed.

    Raises:
        ModelError: the graph cannot be read (subclassed, unbuilt, unknown sizes, channels first) or a layer cannot be made again.
    """
    return prepare_noted(model).model


def prepare_network(model: Any) -> Network:  # noqa: ANN401
    """The prepared graph as data, for passes that edit it further."""
    network = read_network(model)
    drop_training_only(network)
    open_time_distributed(network)
    open_recurrent(network)
    split_separable(network)
    split_activations(network)
    split_averages(network)
    split_scaled_sums(network)
    split_hard_sigmoids(network)
    split_many_inputs(network)
    multiply_instead_of_square(network)
    resize_instead_of_repeat(network)
    _take_floats(network)
    fold_affine(network)
    make_biases_differ(network)
    return network


def _take_floats(network: Network) -> None:
    """An integer image input that is only rescaled becomes a float input of the same values, so that the rescaling can be folded."""
    readers = network.consumers()
    for entry in network.inputs:
        calls = readers.get(entry.value, [])
        if not entry.value.is_float and calls and all(_is_affine_on_floats(call, entry) for call in calls):
            value = Value(entry.value.shape, "float32")
            network.replace_value(entry.value, value)
            network.input_structure = _replaced(network.input_structure, entry.value, value)
            entry.value = value


def _is_affine_on_floats(call: Call, entry: NetworkInput) -> bool:
    stand_in = Value(entry.value.shape, "float32")
    return call.operator.is_layer and read_affine(Call(call.operator, (stand_in,), {}, call.outputs)) is not None


def _replaced(structure: Any, old: Value, new: Value) -> Any:  # noqa: ANN401
    import keras

    return keras.tree.map_structure(lambda leaf: new if leaf is old else leaf, structure)
