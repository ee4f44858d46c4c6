"""A model with gates put into its graph, and what the training taught carried back into the model."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.regularize.gates import HardConcreteGates, final_gates, initial_log_alpha
from edgecompress.compress.regularize.sets import ChannelSets
from edgecompress.keras_graph.channels import Role
from edgecompress.keras_graph.decompose import split_activations
from edgecompress.keras_graph.network import Call, Network, Operator, Value
from edgecompress.keras_graph.rebuild import build_model

_GATES = "hard_concrete_gates"


@dataclass(frozen=True, eq=False)
class Gated:
    """A model of the same layers and weights, with gates; `carry_back` brings what it learned into the one it was made of."""

    model: keras.Model
    gates: HardConcreteGates
    sets: ChannelSets
    places: tuple[Operator, ...]

    def final(self) -> NDArray[np.float32]:
        """[sets] the gates as they stay, 0 for a closed one."""
        values: NDArray[np.float32] = final_gates(self.gates.log_alpha).numpy()
        return values

    def carry_back(self, operators: list[Operator]) -> None:
        """Give the layers that `operators` were read from the trained weights, gates multiplied in, and zero what is closed."""
        names = {layer.name for layer in self.model.layers}
        for operator in operators:
            if operator.weights and operator.name in names:
                trained = self.model.get_layer(operator.name).get_weights()
                for variable, value in zip(operator.source.weights, trained, strict=False):
                    variable.assign(value)
        factor = np.append(self.final(), 1.0).astype(np.float32)
        for part in self.sets.trained:
            if part.operator in self.places:
                part.variable.assign(part.variable.numpy() * part.as_rows(factor).numpy())
        self.sets.zero(self.final() == 0)


def add_gates(network: Network, sets: ChannelSets, *, initial_closed: float, speed: float, seed: int) -> Gated:
    """Edit `network` (the sets' own) and build it."""
    values: list[tuple[Call, Operator]] = []
    split_activations(network)
    for call in network.calls:
        # What a normalization alone reads is gated behind it: before it, a factor would be normalized away.
        if _makes(sets, call.operator) and not _is_normalized(network, call.operator):
            values.append((call, call.operator))
    places = [sets.index_of(_ids_of(sets, call)) for call, _ in values]
    name = network.free_name(_GATES)
    config = {
        "name": name,
        "places": [place.tolist() for place in places],
        "gates": sets.count,
        "start": initial_log_alpha(initial_closed),
        "speed": speed,
        "seed": seed,
    }
    gates = Operator(name, HardConcreteGates, config)
    for number, (call, _) in enumerate(values):
        gated = Value(call.output.shape, call.output.dtype)
        raw = call.output
        network.replace_value(raw, gated)
        network.insert_after(call, Call(gates, (raw,), {"place": number}, [gated]))
    model = build_model(network)
    return Gated(model, model.get_layer(name), sets, tuple(operator for _, operator in values))


def _makes(sets: ChannelSets, operator: Operator) -> bool:
    """Whether the layer makes channels of any set."""
    return any(part.operator is operator and bool((part.index < sets.count).any()) for part in sets.slices)


def _is_normalized(network: Network, operator: Operator) -> bool:
    """Whether a BatchNormalization reads the layer's outputs, and nobody else."""
    readers = [network.only_reader(call.output) for call in network.calls_of(operator)]
    return all(reader is not None and issubclass(reader.operator.kind, keras.layers.BatchNormalization) for reader in readers)


def _ids_of(sets: ChannelSets, call: Call) -> NDArray[np.int64]:
    """The channels along the last axis of what a layer gives."""
    operator = call.operator
    cuts = [cut for cut in sets.channels.cuts if cut.operator is operator and cut.role is Role.MAKES]
    # A depthwise kernel has its channels before they are multiplied.
    return np.repeat(cuts[0].ids, call.output.channels // len(cuts[0].ids))
