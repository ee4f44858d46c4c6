"""Which channels of a network belong together: a union-find over single channels.

Every layer that makes channels (a convolution's filters, a dense layer's units) gives each of them a number. The numbers travel along the
graph: a concatenation lines them up, Flatten repeats them, a depthwise convolution hands them on, and where an operation pairs two channels
(an addition, a product, a grouped convolution) their sets are united. What is united can only be removed together; what reaches an
operation that nobody here has described is pinned with the reason. The walk also writes down every weight axis that a removal has to cut.

The idea is that of dependency graphs (Fang et al. 2023, "DepGraph"), on channels instead of layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.network import Call, Network, Operator, Value

Ids = NDArray[np.int64]
_Number = TypeVar("_Number", np.int64, np.float64)


@dataclass(frozen=True, eq=False)
class Layout:
    """The channels of a value.

    Args:
        axis: where they lie, counted with the batch as 0.
        ids: one number for each place along that axis.
    """

    axis: int
    ids: Ids


class Role(Enum):
    """What a weight's axis is to its channels."""

    MAKES = auto()  # masking the channel zeroes the slice
    READS = auto()  # the channel is multiplied by the slice
    FOLLOWS = auto()  # per channel, but harmless when the channel is zero


@dataclass(frozen=True, eq=False)
class Cut:
    """One axis of one weight along which channels lie."""

    operator: Operator
    weight: int
    axis: int
    ids: Ids
    role: Role


@dataclass(frozen=True, eq=False)
class Read:
    """A call that multiplies the channels of `value` by weights and sums them."""

    call: Call
    value: Value


class ChannelMap:
    """What the walk over one network found.

    Attributes:
        layouts: of every value whose channels are known.
        cuts: every weight axis to cut.
        reads: where channels end in a sum over them.
        reshaped: calls whose configuration holds a number of channels.
        opaque: outputs of calls of which nothing is known.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layouts: dict[Value, Layout] = {}
        self.cuts: list[Cut] = []
        self.reads: list[Read] = []
        self.reshaped: list[Call] = []
        self.opaque: set[Value] = set()
        self._parents: list[int] = []
        self._pins: dict[int, str] = {}
        self._merged: set[int] = set()
        self._by_place: dict[tuple[Operator, int, int], Cut] = {}

    # The sets.

    def fresh(self, count: int) -> Ids:
        """Numbers of `count` channels that belong to nobody yet."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    @property
    def count(self) -> int:
        """Numbers given so far."""
        return len(self._parents)

    def root(self, channel: int) -> int:
        """The channel that stands for the set."""
        parents = self._parents
        while parents[channel] != channel:
            parents[channel] = parents[parents[channel]]
            channel = parents[channel]
        return channel

    def roots(self, ids: Ids) -> Ids:
        return np.fromiter(map(self.root, ids.ravel().tolist()), np.int64, ids.size).reshape(ids.shape)

    def unite(self, left: Ids, right: Ids) -> None:
        """Pairwise; the smaller number stands for both, so that sets are in the model's order."""
        for one, other in zip(left.ravel().tolist(), right.ravel().tolist(), strict=True):
            first, second = sorted((self.root(one), self.root(other)))
            if first != second:
                self._parents[second] = first

    def pin(self, ids: Ids, reason: str) -> None:
        """These channels stay. The first reason given is kept."""
        for channel in set(ids.ravel().tolist()):
            self._pins.setdefault(channel, reason)

    def pins(self) -> dict[int, str]:
        """Reason for every set that stays, by root."""
        reasons: dict[int, str] = {}
        for channel, reason in self._pins.items():
            reasons.setdefault(self.root(channel), reason)
        return reasons

    def mark_merged(self, ids: Ids) -> None:
        """These channels lie on a residual path: an addition pairs them with others."""
        self._merged.update(ids.ravel().tolist())

    def merged(self) -> set[int]:
        return {self.root(channel) for channel in self._merged}

    # The values.

    def set_layout(self, value: Value, axis: int, ids: Ids) -> None:
        self.layouts[value] = Layout(axis, ids)

    def layout_of(self, value: Value) -> Layout:
        """Channels of a value that a rule reads; along the last axis, and pinned, if none were known."""
        if value not in self.layouts:
            self.give_fresh(value, "it is an input of the model")
        return self.layouts[value]

    def give_fresh(self, value: Value, reason: str) -> None:
        """Channels that stay."""
        ids = self.fresh(value.channels if value.rank > 1 else 0)
        self.pin(ids, reason)
        self.layouts[value] = Layout(value.rank - 1, ids)

    # The weights.

    def cut(self, operator: Operator, weight: int, axis: int, ids: Ids, role: Role) -> Ids:
        """Write down that channels lie along an axis of a weight; a shared layer's second use is united with its first."""
        known = self._by_place.get((operator, weight, axis))
        if known is None:
            cut = self._by_place[operator, weight, axis] = Cut(operator, weight, axis, ids, role)
            self.cuts.append(cut)
            return ids
        self.unite(known.ids, ids)
        return known.ids

    def read(self, call: Call, value: Value) -> None:
        self.reads.append(Read(call, value))

    def made_by(self, operator: Operator, count: int) -> Ids:
        """The channels that a layer makes: new ones at its first use, the same at every other."""
        known = next((cut for cut in self.cuts if cut.operator is operator and cut.role is Role.MAKES), None)
        return self.fresh(count) if known is None else known.ids


def unite_groups(channels: ChannelMap, ids: Ids) -> None:
    """Unite each row's channels: [rows, members]."""
    for column in range(1, ids.shape[1]):
        channels.unite(ids[:, 0], ids[:, column])


def spread(axis: int, entries: NDArray[_Number], shape: Sequence[int | None]) -> NDArray[_Number]:
    """One entry a channel as one entry for every element of a value without its batch; a view."""
    sizes = [int(size or 0) for size in shape[1:]]
    column = [1] * len(sizes)
    column[axis - 1] = sizes[axis - 1]
    return np.broadcast_to(entries.reshape(column), sizes)
