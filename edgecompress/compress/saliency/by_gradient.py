"""Gradient and Taylor saliency summed over batches, for weights, units and layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.saliency.criteria import Floats, normalize_gradients, taylor_term
from edgecompress.compress.saliency.units import as_rows, kernel_variable
from edgecompress.recipe.saliency import Criterion

Gradients = Iterable[Sequence[NDArray[np.float32]]]
"""One list of gradients a batch."""


def weights_by_gradient(criterion: Criterion, weights: Sequence[NDArray[np.floating]], batches: Gradients) -> list[Floats]:
    """`gradient`: sqrt(sum_b g_b^2) / largest; `taylor`: mean_b |w g_b|. Arrays of the weights' shapes."""
    if criterion is Criterion.GRADIENT:
        return normalize_gradients(_total([np.square(g, dtype=np.float64) for g in batch] for batch in batches)[0])
    sums, count = _total([np.abs(w * g.astype(np.float64)) for w, g in zip(weights, batch, strict=True)] for batch in batches)
    return [total / count for total in sums]


def channels_by_gradient(criterion: Criterion, layers: Mapping[str, keras.Layer], batches: Gradients) -> dict[str, Floats]:
    """`gradient`: the L2 norm of a unit's weights' gradients; `taylor`: mean_b |sum of w g_b over the unit|. [units] by path."""
    members = list(layers.values())
    by_unit = ([as_rows(layer, g) for layer, g in zip(members, batch, strict=True)] for batch in batches)
    if criterion is Criterion.GRADIENT:
        squares, _ = _total([np.square(rows, dtype=np.float64).sum(axis=1) for rows in batch] for batch in by_unit)
        return dict(zip(layers, normalize_gradients(squares), strict=True))
    weights = [as_rows(layer, kernel_variable(layer).value) for layer in members]
    sums, count = _total([taylor_term(w, g) for w, g in zip(weights, batch, strict=True)] for batch in by_unit)
    return {path: total / count for path, total in zip(layers, sums, strict=True)}


def layers_by_gradient(criterion: Criterion, weights: Sequence[NDArray[np.floating]], batches: Gradients) -> list[Floats]:
    """`gradient`: root mean square over the layer's weights; `taylor`: mean over them of mean_b |w g_b|. One number a layer.

    Args:
        weights: [1, n] of each layer.
    """
    if criterion is Criterion.GRADIENT:
        squares, _ = _total([np.mean(np.square(g, dtype=np.float64), keepdims=True).ravel() for g in batch] for batch in batches)
        return normalize_gradients(squares)
    flat = ([g.reshape(1, -1) for g in batch] for batch in batches)
    return [np.asarray(score.mean()) for score in weights_by_gradient(criterion, weights, flat)]


def _total(batches: Iterable[Sequence[Floats]]) -> tuple[list[Floats], int]:
    """Arrays summed over batches, and how many batches there were."""
    sums: list[Floats] = []
    count = 0
    for batch in batches:
        sums = [a + b for a, b in zip(sums, batch, strict=True)] if sums else list(batch)
        count += 1
    return sums, count
