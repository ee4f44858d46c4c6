"""Masking and removal of channels by layer path, for other passes and for a user's own code.

mask_channels         the channels' activations are zero everywhere
remove_channels       the model that masking gives, in smaller weights
remove_dead_channels  channels that are constant, or that nothing reads, go where that is exact
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from edgecompress.compress.layers import require_layers, walk_layers
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.channel_rules import map_channels
from edgecompress.keras_graph.channels import ChannelMap
from edgecompress.keras_graph.constants import ConstantMap
from edgecompress.keras_graph.groups import Groups, cut, cut_masked, dead_groups, find_groups, makers, mask, spare_one
from edgecompress.keras_graph.network import Network
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network


@dataclass(frozen=True)
class LayerChannels:
    """A layer's filters, neurons or channels before and after."""

    layer: str
    before: int
    after: int


@dataclass(frozen=True)
class KeptChannels:
    """Channels that stay although they were meant to go, and why.

    Attributes:
        channels: their places in the layer, before anything was removed.
    """

    layer: str
    channels: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Removal:
    """What was removed, and what could not be."""

    layers: tuple[LayerChannels, ...]
    kept: tuple[KeptChannels, ...]


def mask_channels(model: keras.Model, channels: Mapping[str, Sequence[int]]) -> tuple[keras.Model, tuple[KeptChannels, ...]]:
    """A copy whose channels, and all that are coupled with them, are zero; and those that had to stay.

    Args:
        channels: places by the path of a Dense, Conv, ConvTranspose, SeparableConv or Embedding layer.

    Raises:
        RecipeError: a layer or channel does not exist.
        ModelError: the model cannot be read.
    """
    network = read_network(model)
    groups = find_groups(network)
    chosen, kept = _chosen(model, groups, channels)
    mask(groups, chosen)
    return build_model(network), kept


def remove_channels(model: keras.Model, channels: Mapping[str, Sequence[int]]) -> tuple[keras.Model, Removal]:
    """A smaller model that computes what `mask_channels` of the same channels does, within float32 rounding.

    Every layer keeps at least one channel.

    Raises:
        RecipeError, ModelError: as `mask_channels`.
    """
    network = read_network(model)
    groups = find_groups(network)
    chosen, kept = _chosen(model, groups, channels)
    names, before = name_layers(model, network), count_made(groups.channels)
    after = {operator.name: int((~np.isin(ids, list(chosen))).sum()) for operator, ids in makers(groups.channels).items()}
    cut_masked(groups, chosen)
    return build_model(network), Removal(changed_layers(before, after, names), kept)


def remove_dead_channels(model: keras.Model) -> tuple[keras.Model, Removal]:
    """The same function without the channels that do nothing.

    A channel is dead when it holds one and the same number whatever the input is, or when only weights of zero read it. A dead channel
    whose number is not zero goes where the number can be written into the biases behind it exactly: 1x1 convolutions, dense layers,
    convolutions without a border, behind pooling. Elsewhere it stays and is named.

    Raises:
        ModelError: the model cannot be read.
    """
    network = read_network(model)
    channels = map_channels(network)
    names = name_layers(model, network)
    before = count_made(channels)
    going, kept = _dead(channels, names)
    while going:
        cut(channels, going, ConstantMap(channels))
        # What nothing reads any more may have been the only reader of something else.
        network = read_network(build_model(network))
        channels = map_channels(network)
        going, _ = _dead(channels, names)
    return build_model(network), Removal(changed_layers(before, count_made(channels), names), kept)


def _dead(channels: ChannelMap, names: Mapping[str, str]) -> tuple[set[int], tuple[KeptChannels, ...]]:
    dead, refused = dead_groups(channels, ConstantMap(channels))
    return spare_one(channels, dead), name_kept(channels, refused, names)


def name_layers(model: keras.Model, network: Network) -> dict[str, str]:
    """Path in the model by name in its network, which has nested models opened."""
    paths = {id(layer): path for path, layer in walk_layers(model)}
    return {operator.name: paths.get(id(operator.source), operator.name) for operator in network.operators()}


def count_made(channels: ChannelMap) -> dict[str, int]:
    """Channels of every layer that makes some, by name in the network."""
    return {operator.name: len(ids) for operator, ids in makers(channels).items()}


def changed_layers(before: Mapping[str, int], after: Mapping[str, int], names: Mapping[str, str]) -> tuple[LayerChannels, ...]:
    """Layers that have fewer channels now."""
    return tuple(LayerChannels(names[name], size, after[name]) for name, size in before.items() if name in after and size != after[name])


def name_kept(channels: ChannelMap, reasons: Mapping[int, str], names: Mapping[str, str]) -> tuple[KeptChannels, ...]:
    """Where the groups are, by layer and reason."""
    found: dict[tuple[str, str], list[int]] = {}
    for operator, ids in makers(channels).items():
        for place, root in enumerate(ids.tolist()):
            if root in reasons:
                found.setdefault((names[operator.name], reasons[root]), []).append(place)
    return tuple(KeptChannels(layer, tuple(places), reason) for (layer, reason), places in found.items())


def _chosen(model: keras.Model, groups: Groups, wanted: Mapping[str, Sequence[int]]) -> tuple[set[int], tuple[KeptChannels, ...]]:
    """The groups of the channels asked for, without pinned ones and without the last of a layer."""
    names = name_layers(model, groups.channels.network)
    made = {names[operator.name]: ids for operator, ids in makers(groups.channels).items()}
    require_layers(list(made), list(wanted), "channels to remove")
    roots: set[int] = set()
    for path, places in wanted.items():
        wrong = [place for place in places if not 0 <= place < len(made[path])]
        if wrong:
            raise RecipeError(f"{path} has the channels 0 to {len(made[path]) - 1}; asked for {wrong[0]}", hint="count channels from 0")
        roots.update(made[path][list(places)].tolist())
    reasons = {root: groups.pinned[root] for root in roots if root in groups.pinned}
    free = roots - set(reasons)
    going = spare_one(groups.channels, free)
    reasons |= dict.fromkeys(free - going, "a layer keeps at least one channel")
    return going, name_kept(groups.channels, reasons, names)
