"""Groups of channels that can only go together, and how they are masked and cut out of a network.

    mask(network, groups)   the group's kernels, biases, gamma, beta and means become zero: its activation is zero everywhere
    cut(network, groups)    the same function in smaller weights

A cut is exact when, wherever the group's channels are summed with weights, the channel is zero, or its weights are, or it is a known
number c that meets no border: then c times the sum of its weights goes into the bias. `find_groups` pins every group for which masking
would not end so (a sigmoid of zero is 0.5, and a padded 3x3 convolution sees zeros beyond the border).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.channel_rules import map_channels, removes_whole_groups
from edgecompress.keras_graph.channels import ChannelMap, Ids, Read, Role
from edgecompress.keras_graph.constants import ConstantMap, Constants, blocked_inputs, response
from edgecompress.keras_graph.kinds import Kind, kind_of, separable_parts
from edgecompress.keras_graph.network import Call, Network, Operator, as_float32
from edgecompress.keras_graph.weighted import kernel_of, output_channels


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of one network; a group is known by its root, a number.

    Attributes:
        channels: the map that they come from.
        roots: groups that may be masked and cut, in the model's order.
        pinned: the reason for every other one.
        merged: groups on a residual path.
    """

    channels: ChannelMap
    roots: tuple[int, ...]
    pinned: dict[int, str]
    merged: frozenset[int]

    def made_by(self, operator: Operator) -> Ids:
        """[C] the group of each channel that a layer makes; empty for layers that make none."""
        return made_by(self.channels, operator)


def find_groups(network: Network) -> Groups:
    """Every group of the network, and which can go."""
    channels = map_channels(network)
    pinned = channels.pins()
    free = made_groups(channels) - set(pinned)
    for root, refusal in refusals(channels, ConstantMap(channels, masked=free)).items():
        if root in free:
            pinned[root] = f"masked, {refusal.reason}"
    return Groups(channels, tuple(sorted(free - set(pinned))), pinned, frozenset(channels.merged()))


def made_groups(channels: ChannelMap) -> set[int]:
    """Roots of all channels that some layer makes."""
    return {root for cut in channels.cuts if cut.role is Role.MAKES for root in channels.roots(cut.ids).tolist()}


def dead_groups(channels: ChannelMap, constants: ConstantMap) -> tuple[set[int], dict[int, str]]:
    """Groups that change nothing, and constant ones that cannot go, with the reason.

    A group changes nothing when every layer that reads it multiplies it by zeros, or can take it in as a number.
    """
    refused = refusals(channels, constants)
    movable = made_groups(channels) - set(channels.pins())
    return movable - set(refused), {root: refusal.reason for root, refusal in refused.items() if root in movable and refusal.is_constant}


def spare_one(channels: ChannelMap, roots: Iterable[int]) -> set[int]:
    """The same groups but for one of each layer that would lose all its channels."""
    going = set(roots)
    for ids in makers(channels).values():
        if going.issuperset(ids.tolist()):
            going.discard(int(ids[0]))
    return going


def cut_masked(groups: Groups, roots: Set[int]) -> None:
    """`mask`, then `cut`: the zeros are known, so the weights need not be written first."""
    cut(groups.channels, roots, ConstantMap(groups.channels, masked=roots))


def cut_chosen(groups: Groups, roots: Set[int], dead: Set[int]) -> None:
    """`cut_masked`, but for dead groups (see `dead_groups`): the numbers that they hold go into the biases behind them."""
    constants = ConstantMap(groups.channels, masked=roots - dead)
    if roots & dead:
        constants.take_over(ConstantMap(groups.channels), roots & dead)
    cut(groups.channels, roots, constants)


def makers(channels: ChannelMap) -> dict[Operator, Ids]:
    """[C] the roots of the channels that each layer makes, for layers that make their own."""
    found: dict[Operator, Ids] = {}
    for call in channels.network.calls:
        if call.operator not in found and kind_of(call) in _MAKERS:
            found[call.operator] = made_by(channels, call.operator)
    return {operator: ids for operator, ids in found.items() if len(ids)}


_MAKERS = frozenset({Kind.DENSE, Kind.CONV, Kind.TRANSPOSED, Kind.SEPARABLE, Kind.EMBEDDING})


def made_by(channels: ChannelMap, operator: Operator) -> Ids:
    """[C] the roots of the channels that a layer makes."""
    own = [cut for cut in channels.cuts if cut.operator is operator and cut.role is Role.MAKES]
    return channels.roots(own[-1].ids) if own else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Refusal:
    """Why a group cannot be left out.

    Args:
        reason: one clause.
        is_constant: whether its channels are numbers wherever they are read; they are alive otherwise.
    """

    reason: str
    is_constant: bool


def refusals(channels: ChannelMap, constants: ConstantMap) -> dict[int, Refusal]:
    """Groups whose channels cannot be left out of every sum, by root."""
    found: dict[int, Refusal] = {}
    shared: dict[Operator, Read] = {}
    for read in channels.reads:
        roots = channels.roots(channels.layouts[read.value].ids)
        known = constants.of(read.value)
        refused = refused_inputs(read.call, known)
        first = shared.setdefault(read.call.operator, read)
        if first is not read:
            # One bias serves all uses of a shared layer: the number must be the same in each.
            refused |= used_by(read.call) & (known != constants.of(first.value))
        for channel in np.flatnonzero(refused).tolist():
            root, number = int(roots[channel]), known[channel]
            is_constant = not np.isnan(number) and (root not in found or found[root].is_constant)
            what = f"it is {number:.3g} everywhere" if is_constant else "it depends on the input"
            if root not in found or found[root].is_constant != is_constant:
                found[root] = Refusal(f"{what} where {read.call.operator.describe()} reads it", is_constant)
    return found


def refused_inputs(call: Call, constants: Constants) -> NDArray[np.bool_]:
    """Input channels of a layer whose part of its sums cannot be written as a number in the bias."""
    first = separable_parts(call.operator)[0] if kind_of(call) is Kind.SEPARABLE else call.operator
    return blocked_inputs(first, call.inputs[0].shape, constants) & used_by(call)


def used_by(call: Call) -> NDArray[np.bool_]:
    """[inputs] which of them any weight of the call multiplies."""
    if kind_of(call) is not Kind.SEPARABLE:
        return used_inputs(call.operator)
    depthwise, pointwise = separable_parts(call.operator)
    used = used_inputs(depthwise)
    return used & used_inputs(pointwise).reshape(len(used), -1).any(axis=1)


def used_inputs(operator: Operator) -> NDArray[np.bool_]:
    """[inputs] which of them any weight multiplies."""
    kernel = kernel_of(operator) != 0
    name = operator.kind.__name__
    if name.startswith("Depthwise"):
        return np.asarray(kernel.any(axis=-1).reshape(-1, kernel.shape[-2]).any(axis=0))
    if name.endswith("Transpose"):
        return np.asarray(kernel.reshape(-1, kernel.shape[-1]).any(axis=0))
    groups = int((operator.config or {}).get("groups", 1))
    taps = kernel.reshape(-1, *kernel.shape[-2:]).any(axis=0)
    return np.asarray(taps.reshape(taps.shape[0], groups, -1).any(axis=2).T.reshape(-1))


def mask(groups: Groups, roots: Iterable[int]) -> None:
    """Zero what makes these groups, in the network that they were found in."""
    chosen = _as_array(roots)
    for cut_ in groups.channels.cuts:
        if cut_.role is Role.MAKES and cut_.operator.weights is not None:
            masked = np.isin(groups.channels.roots(cut_.ids), chosen)
            if masked.any():
                weight = cut_.operator.weights[cut_.weight].copy()
                weight[(slice(None),) * cut_.axis + (masked,)] = 0
                cut_.operator.weights = _with(cut_.operator.weights, cut_.weight, weight)


def cut(channels: ChannelMap, roots: Iterable[int], constants: ConstantMap) -> None:
    """Take these groups out of the network.

    Args:
        constants: what the groups' channels are; those that `refusals` names for it must not be among `roots`.
    """
    chosen = _as_array(roots)
    _fold_constants(channels, chosen, constants)
    for one in channels.cuts:
        keep = ~np.isin(channels.roots(one.ids), chosen)
        if one.operator.weights is not None and not keep.all():
            weight = np.compress(keep, one.operator.weights[one.weight], axis=one.axis)
            one.operator.weights = _with(one.operator.weights, one.weight, np.ascontiguousarray(weight))
    _update_configs(channels)
    for call in channels.reshaped:
        _update_reshape(channels, call, chosen)


def _as_array(roots: Iterable[int]) -> Ids:
    return np.fromiter(roots, np.int64)


def _with(weights: list[NDArray[np.generic]], index: int, weight: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    return [weight if place == index else old for place, old in enumerate(weights)]


def _fold_constants(channels: ChannelMap, chosen: Ids, constants: ConstantMap) -> None:
    """What the channels that go add to every sum, into its bias."""
    done: set[Operator] = set()
    for read in channels.reads:
        operator = read.call.operator
        if operator in done:
            continue
        done.add(operator)
        gone = np.isin(channels.roots(channels.layouts[read.value].ids), chosen)
        numbers = np.where(gone, np.nan_to_num(constants.of(read.value)), 0.0)
        if numbers.any():
            _add_to_bias(channels, read.call, numbers)


def _add_to_bias(channels: ChannelMap, call: Call, numbers: Constants) -> None:
    operator = call.operator
    if kind_of(call) is Kind.SEPARABLE:
        depthwise, pointwise = separable_parts(operator)
        added = response(pointwise, response(depthwise, numbers))
        kernels = 2
    else:
        added, kernels = response(operator, numbers), 1
    if not np.any(added) or operator.config is None or operator.weights is None:
        return
    # A bias that is new is cut as the layer's channels are.
    channels.cut(operator, kernels, 0, made_by(channels, operator), Role.MAKES)
    bias = operator.weights[kernels] if len(operator.weights) > kernels else np.zeros(_outputs(operator))
    operator.weights = [*operator.weights[:kernels], as_float32(bias + added)]
    operator.config = {**operator.config, "use_bias": True}


def _outputs(operator: Operator) -> int:
    return output_channels(separable_parts(operator)[1] if operator.kind.__name__.startswith("Separable") else operator)


def _update_configs(channels: ChannelMap) -> None:
    """Numbers of channels that layers keep in their configuration."""
    for operator in channels.network.operators():
        if operator.config is None or not operator.weights:
            continue
        changed = _sizes(operator)
        if any(operator.config.get(key) != size for key, size in changed.items()):
            operator.config = {**operator.config, **changed}


def _sizes(operator: Operator) -> dict[str, int]:
    kernel = (operator.weights or [])[0]
    if operator.kind is keras.layers.Dense:
        return {"units": kernel.shape[-1]}
    if operator.kind is keras.layers.Embedding:
        return {"output_dim": kernel.shape[-1]}
    name = operator.kind.__name__
    if operator.kind.__module__.split(".")[0] != "keras" or "filters" not in (operator.config or {}):
        return {}
    if name.startswith("Separable"):
        return {"filters": (operator.weights or [])[1].shape[-1]}
    if name.endswith("Transpose"):
        return {"filters": kernel.shape[-2]}
    filters: int = kernel.shape[-1]
    if removes_whole_groups(operator):
        config = operator.config or {}
        return {"filters": filters, "groups": filters * int(config["groups"]) // int(config["filters"])}
    return {"filters": filters}


def _update_reshape(channels: ChannelMap, call: Call, chosen: Collection[int]) -> None:
    layout = channels.layouts[call.output]
    kept = int((~np.isin(channels.roots(layout.ids), np.asarray(chosen))).sum())
    if kept == len(layout.ids):
        return
    shape = [*call.output.shape[1:]]
    shape[layout.axis - 1] = kept
    name = call.operator.name
    # Reshape has no weights: each call may have an operator of its own.
    call.operator = Operator(name, keras.layers.Reshape, {"name": name, "target_shape": tuple(shape)}, weights=[])
    call.args, call.kwargs = (call.inputs[0],), {}
