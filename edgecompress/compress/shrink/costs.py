"""Multiply-accumulates and parameters of a network for any choice of groups, without building it.

A weight costs its places (times that it is used in one inference; 1 for parameters) times its size, and its size is the product of the
channels that are left along its cut axes and of the other axes. So a choice costs a few sums, and the search over choices is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.channels import ChannelMap, Cut, Ids
from edgecompress.keras_graph.cost import count_macs
from edgecompress.keras_graph.kinds import Kind, kind_of
from edgecompress.keras_graph.network import Network, Operator

Kept = NDArray[np.bool_]
"""[groups] by root: False for a group that goes."""


@dataclass(frozen=True, eq=False)
class _Term:
    """Part of a cost: `factor` times the channels kept along each axis."""

    factor: float
    axes: tuple[Ids, ...]

    def total(self, kept: Kept) -> float:
        size = self.factor
        for roots in self.axes:
            size *= np.count_nonzero(kept[roots])
        return size


@dataclass(frozen=True, eq=False)
class Costs:
    """A network's cost as a function of the groups that stay."""

    terms: tuple[_Term, ...]
    groups: int

    def everything(self) -> Kept:
        return np.ones(self.groups, np.bool_)

    def total(self, kept: Kept) -> float:
        return sum(term.total(kept) for term in self.terms)

    def saved_by(self, roots: Sequence[int] | Ids) -> NDArray[np.float64]:
        """What each group's removal alone saves, while all others stay: to first order."""
        savings = np.zeros(self.groups)
        everything = self.everything()
        for term in self.terms:
            whole = term.total(everything)
            for axis in term.axes:
                np.add.at(savings, axis, whole / len(axis))
        return savings[np.asarray(roots, np.int64)]


def mac_costs(channels: ChannelMap) -> Costs:
    """Multiply-accumulates of one inference."""
    cuts = _cuts_by_weight(channels)
    terms = []
    for call in channels.network.calls:
        macs = count_macs(call)
        if macs:
            weights = (call.operator.weights or [])[: 2 if kind_of(call) is Kind.SEPARABLE else 1]
            places = macs / sum(weight.size for weight in weights)
            terms += [_term(channels, cuts, call.operator, index, places) for index in range(len(weights))]
    return Costs(tuple(terms), channels.count)


def parameter_costs(channels: ChannelMap) -> Costs:
    """Elements of all weights."""
    cuts = _cuts_by_weight(channels)
    network: Network = channels.network
    terms = [_term(channels, cuts, op, index, 1.0) for op in network.operators() for index in range(len(op.weights or []))]
    return Costs(tuple(terms), channels.count)


def channel_costs(channels: ChannelMap, roots: Sequence[int]) -> Costs:
    """The number of groups among `roots` that stay."""
    return Costs((_Term(1.0, (np.asarray(roots, np.int64),)),), channels.count)


def _cuts_by_weight(channels: ChannelMap) -> dict[tuple[Operator, int], list[Cut]]:
    found: dict[tuple[Operator, int], list[Cut]] = {}
    for cut in channels.cuts:
        found.setdefault((cut.operator, cut.weight), []).append(cut)
    return found


def _term(channels: ChannelMap, cuts: dict[tuple[Operator, int], list[Cut]], operator: Operator, index: int, places: float) -> _Term:
    own = cuts.get((operator, index), [])
    size = (operator.weights or [])[index].size
    for cut in own:
        size //= len(cut.ids)
    return _Term(places * size, tuple(channels.roots(cut.ids) for cut in own))
