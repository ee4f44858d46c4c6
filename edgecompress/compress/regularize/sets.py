"""Channels that can only go together, as numbers along the axes of a model's variables.

`keras_graph.channel_rules` says which channels belong together (through additions, depthwise and grouped convolutions, ...) and which must
stay. Here every set that may go gets a number, and every variable that makes such channels (kernels, biases, gamma and beta) an index [C]
of these numbers along one axis: sums over sets and products by a set's factor then are one segment sum and one gather for each variable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgecompress.compress.layers import is_inside, require_layers, walk_layers
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.channel_rules import map_channels
from edgecompress.keras_graph.channels import ChannelMap, Cut, Role
from edgecompress.keras_graph.network import Network, Operator

Index = NDArray[np.int32]
_NAMED = 3


@dataclass(frozen=True, eq=False)
class Slices:
    """Channels along one axis of one variable.

    Attributes:
        layer: path of its layer.
        index: [C], the number of each channel's set; `count` of the sets for one that stays.
    """

    layer: str
    operator: Operator
    variable: keras.Variable
    axis: int
    index: Index

    def as_rows(self, values: Any) -> Any:  # noqa: ANN401  a tensor [count + 1]
        """A factor for each element: values[index] along the axis, broadcast over the others."""
        shape = [1] * len(self.variable.shape)
        shape[self.axis] = -1
        return tf.reshape(tf.gather(values, self.index), shape)


@dataclass(frozen=True, eq=False)
class ChannelSets:
    """All sets of a model that may go.

    Attributes:
        channels: the walk they come from.
        roots: the channel that stands for each set, in the walk's numbers.
        slices: everything that makes the sets' channels, moving means too.
        sizes: [count] trainable elements of each set.
        owners: the layer that makes each set's channels first.
        kept: reasons why sets stay, by the layer that makes them.
    """

    channels: ChannelMap
    roots: tuple[int, ...]
    slices: tuple[Slices, ...]
    sizes: NDArray[np.float32]
    owners: tuple[str, ...]
    kept: dict[str, str]

    @property
    def count(self) -> int:
        return len(self.roots)

    @property
    def trained(self) -> list[Slices]:
        """The slices that an optimizer moves."""
        return [part for part in self.slices if part.variable.trainable]

    def index_of(self, ids: NDArray[np.int64]) -> Index:
        """Numbers of the sets of some channels; `count` for those that stay."""
        numbers = {root: number for number, root in enumerate(self.roots)}
        return np.array([numbers.get(root, self.count) for root in self.channels.roots(ids).tolist()], np.int32)

    def zero(self, closed: NDArray[np.bool_]) -> None:
        """Set everything that makes the closed sets' channels to zero: their activation then is zero everywhere."""
        factor = np.append(~closed, True).astype(np.float32)
        for part in self.slices:
            part.variable.assign(part.variable.numpy() * part.as_rows(factor).numpy())


def find_sets(model: keras.Model, network: Network, exclude: Sequence[str] = ()) -> ChannelSets:
    """The sets of channels of `model`, of which `network` was read, that may go.

    Args:
        exclude: layers whose channels stay, by path or by the path of a model around them.

    Raises:
        RecipeError: `exclude` names a layer that does not exist, or nothing may go.
    """
    paths = {id(layer): path for path, layer in walk_layers(model)}
    require_layers(list(paths.values()), exclude, "regularize: exclude")
    channels = map_channels(network)
    makes = [cut for cut in channels.cuts if cut.role is Role.MAKES]
    pins = channels.pins()
    for cut in makes:
        reason = _reason_to_stay(cut, paths[id(cut.operator.source)], exclude)
        if reason:
            pins.update({root: reason for root in channels.roots(cut.ids).tolist() if root not in pins})
    roots: dict[int, str] = {}
    kept: dict[str, str] = {}
    for cut in makes:
        path = paths[id(cut.operator.source)]
        for root in channels.roots(cut.ids).tolist():
            if root in pins:
                kept.setdefault(path, pins[root])
            else:
                roots.setdefault(root, path)
    if not roots:
        raise RecipeError(
            f"regularize: no channel of {model.name!r} may go: {_shown(kept)}",
            hint='use method = "l1", which empties single weights',
        )
    return _number(channels, makes, paths, roots, kept)


def _shown(kept: dict[str, str]) -> str:
    """Why the layers keep their channels, the first few by name."""
    reasons = list(dict.fromkeys(reason if path in reason else f"{path}: {reason}" for path, reason in kept.items()))
    more = f" and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    return "; ".join(reasons[:_NAMED]) + more if reasons else "it has no layer with weights"


def _number(channels: ChannelMap, makes: Sequence[Cut], paths: dict[int, str], roots: dict[int, str], kept: dict[str, str]) -> ChannelSets:
    numbers = {root: number for number, root in enumerate(roots)}
    sizes = np.zeros(len(roots) + 1, np.float32)
    slices = []
    for cut in makes:
        index = np.array([numbers.get(root, len(roots)) for root in channels.roots(cut.ids).tolist()], np.int32)
        variable = cut.operator.source.weights[cut.weight]
        if variable.trainable:
            np.add.at(sizes, index, np.prod(variable.shape) / len(index))
        slices.append(Slices(paths[id(cut.operator.source)], cut.operator, variable, cut.axis, index))
    return ChannelSets(channels, tuple(roots), tuple(slices), sizes[:-1], tuple(roots.values()), kept)


def _reason_to_stay(cut: Cut, path: str, exclude: Sequence[str]) -> str:
    if any(is_inside(path, name) for name in exclude):
        return f"{path} is excluded"
    if issubclass(cut.operator.kind, keras.layers.BatchNormalization) and not (cut.operator.config or {})["scale"]:
        return f"{path} normalizes without gamma, so that no factor can shrink its channels"
    if issubclass(cut.operator.kind, keras.layers.Normalization | keras.layers.Embedding):
        return f"{path} ({cut.operator.kind.__name__}) makes them"
    return ""
