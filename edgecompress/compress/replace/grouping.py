"""Which channels a grouped convolution deals to which group, so that most of the trained kernel stays.

With the energy E[i, o] = sum over the taps of W[h, w, i, o]^2, a grouping keeps sum of E[i, o] over pairs of one group. Inputs and outputs
are assigned in turn, each time the best that swaps between two groups can reach, until nothing is gained; the search starts from the order
that is there, and from groups grown around the strongest outputs, which finds a block-diagonal kernel whose channels were permuted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_MOST_ROUNDS = 20
# Over all pairs of groups; the next round goes on from there.
_MOST_SWEEPS = 4
# Outputs around which the first group is grown, one attempt each.
_STARTS = 4
# Relative to all energy: gains below this are rounding.
_LEAST_GAIN = 1e-12


@dataclass(frozen=True, eq=False)
class Dealt:
    """The group of each channel.

    Attributes:
        inputs: [i].
        outputs: [o].
        kept: share of the energy that stays.
    """

    inputs: Indices
    outputs: Indices
    kept: float


def energy_of(kernel: NDArray[np.floating]) -> Floats:
    """[i, o] sum of squares over the taps of [h, w, i, o]."""
    return np.asarray((np.asarray(kernel, np.float64) ** 2).sum(axis=(0, 1)))


def deal_channels(energy: Floats, inputs: Indices, outputs: Indices, *, inputs_free: bool, outputs_free: bool) -> Dealt:
    """Groups of equal sizes that keep the most energy.

    Args:
        energy: [i, o].
        inputs, outputs: the group of each channel in the order that is there; what is not free stays so.
    """
    groups = int(inputs.max()) + 1
    dealt = _improve(energy, _dealt(energy, inputs, outputs), groups, inputs_free, outputs_free)
    if inputs_free and outputs_free:
        for first in np.argsort(-energy.sum(axis=0), kind="stable")[:_STARTS]:
            grown = _improve(energy, _grow(energy, groups, int(first)), groups, inputs_free, outputs_free)
            dealt = max(dealt, grown, key=lambda found: found.kept)
    return dealt


def order_by_group(groups: Indices, places: Indices) -> Indices:
    """[n] which channel stands at each place, when channel c is of `groups[c]` and place p takes one of `places[p]`; else in order."""
    order = np.empty(len(groups), np.intp)
    order[np.argsort(places, kind="stable")] = np.argsort(groups, kind="stable")
    return order


def _dealt(energy: Floats, inputs: Indices, outputs: Indices) -> Dealt:
    total = float(energy.sum())
    kept = float(energy[inputs[:, np.newaxis] == outputs].sum())
    return Dealt(inputs, outputs, kept / total if total > 0 else 1.0)


def _improve(energy: Floats, dealt: Dealt, groups: int, inputs_free: bool, outputs_free: bool) -> Dealt:
    for _ in range(_MOST_ROUNDS):
        inputs, outputs = dealt.inputs, dealt.outputs
        if inputs_free:
            inputs = _assign(_scores(energy, outputs, groups), inputs)
        if outputs_free:
            outputs = _assign(_scores(energy.T, inputs, groups), outputs)
        better = _dealt(energy, inputs, outputs)
        if better.kept - dealt.kept <= _LEAST_GAIN:
            break
        dealt = better
    return dealt


def _scores(energy: Floats, others: Indices, groups: int) -> Floats:
    """[n, groups] what each channel keeps in each group."""
    return np.asarray(energy @ np.eye(groups)[others])


def _assign(scores: Floats, start: Indices) -> Indices:
    """Groups of the same sizes as `start`, swapped pair by pair while that gains."""
    assigned = start.copy()
    least = _LEAST_GAIN * float(np.abs(scores).sum())
    for _ in range(_MOST_SWEEPS):
        gained = [_swap(scores, assigned, a, b, least) for a, b in combinations(range(scores.shape[1]), 2)]
        if not any(gained):
            break
    return assigned


def _swap(scores: Floats, assigned: Indices, a: int, b: int, least: float) -> bool:
    """Exchange members of groups a and b, the most willing ones first, as long as a pair gains; True when some moved."""
    of_a, of_b = np.flatnonzero(assigned == a), np.flatnonzero(assigned == b)
    from_a, from_b = scores[of_a, b] - scores[of_a, a], scores[of_b, a] - scores[of_b, b]
    of_a, from_a = of_a[np.argsort(-from_a, kind="stable")], -np.sort(-from_a)
    of_b, from_b = of_b[np.argsort(-from_b, kind="stable")], -np.sort(-from_b)
    pairs = min(len(of_a), len(of_b))
    count = int(np.count_nonzero(from_a[:pairs] + from_b[:pairs] > least))
    assigned[of_a[:count]], assigned[of_b[:count]] = b, a
    return count > 0


def _grow(energy: Floats, groups: int, first: int) -> Dealt:
    """Group after group: an output (`first`, then the strongest left), the inputs that it needs most, the outputs that need those most."""
    rows, columns = energy.shape[0] // groups, energy.shape[1] // groups
    inputs, outputs = np.full(energy.shape[0], -1, np.intp), np.full(energy.shape[1], -1, np.intp)
    for g in range(groups):
        left_inputs, left_outputs = np.flatnonzero(inputs < 0), np.flatnonzero(outputs < 0)
        left = energy[np.ix_(left_inputs, left_outputs)]
        strongest = first if g == 0 else int(left.sum(axis=0).argmax())
        chosen = np.argsort(-left[:, strongest], kind="stable")[:rows]
        total = left.sum(axis=0)
        share = np.divide(left[chosen].sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
        inputs[left_inputs[chosen]] = g
        outputs[left_outputs[np.argsort(-share, kind="stable")[:columns]]] = g
    return _dealt(energy, inputs, outputs)
