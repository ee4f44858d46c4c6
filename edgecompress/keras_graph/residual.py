"""Residual blocks: additions `skip + branch` whose branch can be left out.

Left out, the addition gives the skip alone: what a branch of zeros gives (He et al. 2016, "Identity mappings in deep residual networks";
layers of such networks can be dropped one by one, Veit et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecompress.keras_graph.network import Call, Network, Value


@dataclass(frozen=True, eq=False)
class ResidualBlock:
    """One addition with a branch of its own.

    Args:
        addition: its name names the block.
        skip, branch: its two inputs.
        calls: that only the branch needs.
        path: `identity`: the skip is the branch's own input; `projection`: layers of its own lead from there.
    """

    addition: Call
    skip: Value
    branch: Value
    calls: tuple[Call, ...]
    path: Literal["identity", "projection"]

    @property
    def name(self) -> str:
        return self.addition.operator.name


def find_blocks(network: Network) -> list[ResidualBlock]:
    """Every residual block, in the model's order; nested ones each."""
    blocks = (_block_of(network, call) for call in network.calls if call.operator.kind.__name__ == "Add")
    return [block for block in blocks if block is not None]


def drop_block(network: Network, block: ResidualBlock) -> None:
    """Leave the skip alone."""
    gone = {id(call) for call in (*block.calls, block.addition)}
    network.calls = [call for call in network.calls if id(call) not in gone]
    network.replace_value(block.addition.output, block.skip)


def _block_of(network: Network, addition: Call) -> ResidualBlock | None:
    if len(addition.inputs) != 2 or addition.inputs[0] is addition.inputs[1]:
        return None
    if any(value.shape != addition.output.shape for value in addition.inputs):
        return None
    left, right = addition.inputs
    sides = {value: _feeding_only(network, addition, value) for value in (left, right)}
    entries = {value: _entries(sides[value]) for value in (left, right)}
    for skip, branch in ((left, right), (right, left)):
        if sides[branch] and entries[branch] == {skip}:
            return ResidualBlock(addition, skip, branch, tuple(sides[branch]), "identity")
    if sides[left] and sides[right] and entries[left] == entries[right] and len(entries[left]) == 1:
        # The longer side is the branch.
        skip, branch = sorted((left, right), key=lambda value: len(sides[value]))
        if len(sides[skip]) < len(sides[branch]):
            return ResidualBlock(addition, skip, branch, tuple(sides[branch]), "projection")
    return None


def _feeding_only(network: Network, addition: Call, value: Value) -> list[Call]:
    """Calls whose results go nowhere but into this input of the addition."""
    readers = network.consumers()
    outputs = set(network.outputs)
    inside: set[int] = set()
    found: list[Call] = []
    for call in reversed(network.calls[: network.calls.index(addition)]):
        goes_in = all(
            result not in outputs
            and bool(readers.get(result))
            and all(id(reader) in inside or (reader is addition and result is value) for reader in readers[result])
            for result in call.outputs
        )
        if goes_in:
            inside.add(id(call))
            found.append(call)
    return found[::-1]


def _entries(calls: list[Call]) -> set[Value]:
    made = {value for call in calls for value in call.outputs}
    return {value for call in calls for value in call.inputs if value not in made}
