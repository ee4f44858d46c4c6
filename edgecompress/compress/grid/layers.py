"""Layers of a prepared network that go on a codebook: which can, how they do, and what they then hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from edgecompress.compress.grid.codebook import Floats, index_bits, packed_bytes, with_zero
from edgecompress.compress.int8.layers import Codebook, columns_of, has_codebook, integers_of, round_kernel
from edgecompress.compress.layers import is_inside, require_layers, walk_layers
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.network import Network, Operator, as_float64
from edgecompress.keras_graph.walk import read_network
from edgecompress.keras_graph.weighted import is_weighted, kernel_of


@dataclass(frozen=True)
class LayerCodebook:
    """One layer's weights as the .tflite will hold them.

    Attributes:
        weights: of the kernel.
        levels: distinct int8 values, at most, in one codebook's weights.
        codebooks: 1, or one for each output channel.
        zeros: weights that are 0.
        index_bits: bits of an index, ceil(log2 levels).
        packed_bytes: of indices and codebooks, were they packed; the .tflite itself stores a byte a weight.
        tied: output channels that have another one's integers.
        error: root of the squared error over the squared weights, when the codebook was chosen.
    """

    layer: str
    weights: int
    levels: int
    codebooks: int
    zeros: int
    index_bits: int
    packed_bytes: int
    tied: int
    error: float


@dataclass(frozen=True)
class SkippedLayer:
    """A layer that keeps its weights, and why."""

    layer: str
    reason: str


def find_layers(network: Network, model: keras.Model, exclude: Sequence[str], stage: str) -> tuple[list[Operator], list[SkippedLayer]]:
    """Layers of the prepared network that go on a codebook, and the others that have a kernel.

    Args:
        model: what the network was prepared from; `exclude` has the paths of its layers.

    Raises:
        RecipeError: `exclude` names no layer, or nothing is left.
    """
    require_layers([path for path, _ in walk_layers(model)], exclude, f"{stage}: exclude")
    found: list[Operator] = []
    skipped: list[SkippedLayer] = []
    kept = {id(operator) for name in exclude for operator in operators_at(network, model, name)}
    for operator in network.operators():
        reason = "excluded" if id(operator) in kept else _obstacle(operator)
        if reason is None:
            found.append(operator)
        elif _has_kernel(operator):
            skipped.append(SkippedLayer(operator.name, reason))
    if not found:
        raise RecipeError(
            f"{stage}: model {model.name!r} has no layer to put on a codebook{' outside exclude' if exclude else ''}",
            hint="convolutions of every kind and dense layers can be",
        )
    return found, skipped


def operators_at(network: Network, model: keras.Model, path: str) -> list[Operator]:
    """What the layer at `path`, or all inside the model at `path`, became when the network was prepared."""
    layers = [layer for inner, layer in walk_layers(model) if is_inside(inner, path)]
    sources, names = {id(layer) for layer in layers}, {layer.name for layer in layers}
    return [operator for operator in network.operators() if id(operator.source) in sources or _was_part_of(operator, names)]


def put_on_codebook(operator: Operator, columns: Floats, codebook: Codebook) -> float:
    """Make the operator an int8 layer on the codebook; the share of its weights that rounding changes.

    Args:
        columns: the weights as they were, [N, C].
    """
    round_kernel(operator, keep_zeros=True, codebook=codebook)
    integers = integers_of(operator)
    return float(np.linalg.norm(columns - integers.whole * integers.scales) / np.linalg.norm(columns))


def weight_columns(operator: Operator) -> Floats:
    """[N, C] in double precision."""
    return as_float64(columns_of(operator, kernel_of(operator)))


def levels_for(operator: Operator, levels: Floats) -> Floats:
    """The levels, with 0 among them if some of the operator's weights are zero."""
    return with_zero(levels) if np.any(kernel_of(operator) == 0) else levels


def describe_codebooks(model: keras.Model, errors: dict[str, float]) -> tuple[LayerCodebook, ...]:
    """Every layer on a codebook of a model, in order.

    Args:
        errors: by layer name; others have the error 0.
    """
    return tuple(_describe(operator, errors) for operator in read_network(model).operators() if has_codebook(operator))


def packed_share(layers: Sequence[LayerCodebook]) -> float:
    """Bytes of packed indices and codebooks against one byte a weight."""
    return sum(layer.packed_bytes for layer in layers) / max(1, sum(layer.weights for layer in layers))


def _describe(operator: Operator, errors: dict[str, float]) -> LayerCodebook:
    integers = integers_of(operator)
    whole = integers.whole
    groups: list[Any] = [whole] if integers.groups == 1 else list(whole.T)
    levels = max(len(np.unique(group)) for group in groups)
    return LayerCodebook(
        layer=operator.name,
        weights=whole.size,
        levels=levels,
        codebooks=integers.groups,
        zeros=int(np.count_nonzero(whole == 0)),
        index_bits=index_bits(levels),
        packed_bytes=packed_bytes(whole.size, levels, integers.groups),
        tied=integers.tied,
        error=errors.get(operator.name, 0.0),
    )


def _obstacle(operator: Operator) -> str | None:
    """Why an operator cannot go on a codebook; None when it can."""
    if has_codebook(operator):
        return "it is on a codebook already"
    if not is_weighted(operator):
        return f"a {operator.kind.__name__} has no form with a codebook"
    return None if np.any(kernel_of(operator)) else "all its weights are zero"


def _has_kernel(operator: Operator) -> bool:
    return any(weight.ndim > 1 for weight in operator.weights or [])


def _was_part_of(operator: Operator, names: set[str]) -> bool:
    """A part of a layer that preparing took apart: the pointwise one has the layer's name, the other one that and a suffix."""
    return operator.source is None and (operator.name in names or operator.name.removesuffix("_depthwise") in names)
