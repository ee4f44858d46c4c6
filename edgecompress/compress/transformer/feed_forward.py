"""Feed-forward blocks: Dense, elementwise activation, Dense along the last axis of a sequence, with fewer units between.

The block's output is a sum over units, y = b2 + sum_j f(x W1_j + b1_j) W2_j, so removing unit j equals setting row j of W2 to zero,
exactly, whatever f is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from edgecompress.keras_graph.activations import Curve, name_of_function, read_activation
from edgecompress.keras_graph.network import Call, Network, Operator
from edgecompress.keras_graph.weighted import is_dense, is_weighted, kernel_of

# Activations outside `Curve` that work on each element by itself.
_ELEMENTWISE = frozenset({"elu", "selu", "celu", "softplus", "softsign", "exponential", "mish", "hard_tanh", "hardtanh"})
_MIXING = (Curve.SOFTMAX, Curve.PRELU)
_DROPPING = (keras.layers.Dropout, keras.layers.GaussianDropout, keras.layers.GaussianNoise, keras.layers.Identity)
_SEQUENCE_RANK = 3


@dataclass(frozen=True, eq=False)
class Block:
    """Two Dense layers with elementwise functions between."""

    first: Operator
    second: Operator

    @property
    def units(self) -> int:
        return int(kernel_of(self.second).shape[0])


@dataclass(frozen=True)
class NoBlock:
    """A Dense layer on sequences that opens no block, and why."""

    layer: str
    reason: str


def find_blocks(network: Network) -> tuple[list[Block], list[NoBlock]]:
    """The feed-forward blocks, and the Dense layers on sequences that belong to none."""
    blocks: list[Block] = []
    misses: list[NoBlock] = []
    for operator in network.operators():
        if is_dense(operator) and network.calls_of(operator)[0].output.rank >= _SEQUENCE_RANK:
            found = _block_from(network, operator)
            if isinstance(found, Block):
                blocks.append(found)
            else:
                misses.append(found)
    inside = {block.second.name for block in blocks}
    return blocks, [miss for miss in misses if miss.layer not in inside]


def keep_units(block: Block, kept: Sequence[int]) -> None:
    """Slice both Dense layers to these units."""
    units = np.asarray(kept, np.intp)
    block.first.weights = [np.take(weight, units, axis=-1) for weight in block.first.weights or []]
    block.first.config = {**(block.first.config or {}), "units": len(units)}
    kernel, *bias = block.second.weights or []
    block.second.weights = [np.take(kernel, units, axis=0), *bias]


def _block_from(network: Network, first: Operator) -> Block | NoBlock:
    calls = network.calls_of(first)
    if not is_weighted(first):
        return NoBlock(first.name, f"{first.kind.__name__} holds other weights than a plain kernel and a bias")
    if len(calls) > 1:
        return NoBlock(first.name, "it is used several times")
    if not _is_elementwise(calls[0]):
        return NoBlock(first.name, "its activation mixes units")
    call: Call | None = calls[0]
    while call is not None:
        reader = network.only_reader(call.output)
        if reader is None:
            return NoBlock(first.name, "its outputs have several readers, or leave the model")
        if is_dense(reader.operator) and is_weighted(reader.operator):
            if len(network.calls_of(reader.operator)) > 1:
                return NoBlock(first.name, f"{reader.operator.name} after it is used several times")
            return Block(first, reader.operator)
        call = reader if _is_elementwise(reader) and len(reader.inputs) == 1 else None
        if call is None:
            return NoBlock(first.name, f"its outputs go into {reader.operator.describe()} rather than through an activation into a Dense")
    return NoBlock(first.name, "its outputs are not read")


def _is_elementwise(call: Call) -> bool:
    """Whether the call's activation, or the call itself after a Dense, treats each element by itself, whatever the number of units."""
    operator = call.operator
    if is_dense(operator):
        function = keras.activations.get((operator.config or {}).get("activation"))
        stand_in = Operator(operator.name, keras.layers.Activation, {"activation": function}, weights=[])
        if isinstance(function, keras.layers.Layer):
            return False
        return name_of_function(function) == "linear" or _is_elementwise(Call(stand_in, call.args, {}, call.outputs))
    if operator.kind in _DROPPING:
        return True
    activation = read_activation(call)
    if activation is None or activation.curve in _MIXING:
        return False
    return activation.curve is not Curve.OTHER or activation.word.lower() in _ELEMENTWISE
