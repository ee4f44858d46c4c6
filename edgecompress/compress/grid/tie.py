"""Weights in common: similar filters of a layer, and layers of one shape.

Filters count as similar by direction: a filter's length goes into its scale, so two filters of one direction have the same int8 integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.grid.codebook import Floats
from edgecompress.compress.grid.layers import operators_at
from edgecompress.compress.layers import require_layers, walk_layers
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.network import Network, Operator
from edgecompress.keras_graph.weighted import is_weighted

# What layers may differ in and still be one: names, and how weights begin and are held while training.
_FREE = ("name", "trainable", "dtype")
_FREE_ENDINGS = ("_initializer", "_regularizer", "_constraint")


@dataclass(frozen=True)
class SharedLayers:
    """Layers that became one.

    Attributes:
        layer: the one whose weights all have now.
        others: the ones that are gone.
        weights: kernel and bias elements saved.
    """

    layer: str
    others: tuple[str, ...]
    weights: int


def find_ties(columns: Floats, threshold: float) -> NDArray[np.int32]:
    """[C] for each filter the first one before it whose direction is near, or itself.

    Near: || f / |f| - g / |g| || <= threshold, and the same weights are zero. Only filters that are tied to none are compared with.

    Args:
        columns: [N, C].
    """
    lengths = np.linalg.norm(columns, axis=0)
    directions = columns / np.where(lengths > 0, lengths, 1.0)
    zeros = columns == 0
    ties = np.arange(columns.shape[1], dtype=np.int32)
    for channel in np.flatnonzero(lengths):
        earlier = np.flatnonzero((ties[:channel] == np.arange(channel)) & (lengths[:channel] > 0))
        distances = np.linalg.norm(directions[:, earlier] - directions[:, [channel]], axis=0)
        near = earlier[(distances <= threshold) & np.all(zeros[:, earlier] == zeros[:, [channel]], axis=0)]
        if len(near):
            ties[channel] = near[0]
    return ties


def tie_columns(columns: Floats, ties: NDArray[np.int32]) -> Floats:
    """[N, C] with each filter in the mean direction of those it is tied with, at its own length."""
    lengths = np.linalg.norm(columns, axis=0)
    directions = columns / np.where(lengths > 0, lengths, 1.0)
    tied = columns.copy()
    for first in np.unique(ties[ties != np.arange(len(ties))]):
        members = np.flatnonzero(ties == first)
        mean = directions[:, members].sum(axis=1)
        tied[:, members] = (mean / np.linalg.norm(mean))[:, np.newaxis] * lengths[members]
    return tied


def share_layers(network: Network, model: keras.Model, groups: Sequence[Sequence[str]]) -> tuple[SharedLayers, ...]:
    """Let all layers of each group be its first: one layer, called where each of them was.

    Args:
        network: prepared, from `model`; changed in place.
        groups: paths of layers.

    Raises:
        RecipeError: a name that the model lacks, or layers that cannot be one.
    """
    require_layers([path for path, _ in walk_layers(model)], [name for group in groups for name in group], "cluster: share_layers")
    return tuple(_share(network, [_operator_at(network, model, name) for name in group]) for group in groups)


def _share(network: Network, operators: Sequence[Operator]) -> SharedLayers:
    first, *others = operators
    for other in others:
        difference = _difference(first, other)
        if difference:
            raise RecipeError(
                f"cluster: share_layers: {other.name} and {first.name} cannot be one layer: {difference}",
                hint="share layers of one kind, kernel shape and settings",
            )
        for call in network.calls_of(other):
            call.operator = first
    saved = sum(int(weight.size) for other in others for weight in other.weights or [])
    return SharedLayers(first.name, tuple(other.name for other in others), saved)


def _difference(first: Operator, other: Operator) -> str:
    if first is other:
        return "they are one already"
    if first.kind is not other.kind:
        return f"one is a {first.kind.__name__}, the other a {other.kind.__name__}"
    shapes = [[weight.shape for weight in operator.weights or []] for operator in (first, other)]
    if shapes[0] != shapes[1]:
        return f"their weights have the shapes {shapes[0]} and {shapes[1]}"
    left, right = first.config or {}, other.config or {}
    for key in left:
        if key not in _FREE and not key.endswith(_FREE_ENDINGS) and left[key] != right.get(key):
            return f"their {key} is {left[key]} and {right.get(key)}"
    return ""


def _operator_at(network: Network, model: keras.Model, name: str) -> Operator:
    found = [operator for operator in operators_at(network, model, name) if is_weighted(operator)]
    if len(found) != 1:
        raise RecipeError(
            f"cluster: share_layers names {name!r}, which is {'no layer with a kernel' if not found else 'several layers with kernels'}",
            hint="name convolutions or dense layers",
        )
    return found[0]
