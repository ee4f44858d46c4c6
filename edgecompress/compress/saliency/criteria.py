"""The saliency of units, one pure function each. Higher means: keep.

A unit is a row: `rows` is [units, weights of a unit], a Dense layer's neuron or a convolution's filter. A single weight's L1 and L2 are
both |w|. Sources: L1 norms of filters, Li et al. 2017 ("Pruning filters for efficient ConvNets", section 3.1); Taylor, Molchanov et al.
2019 ("Importance estimation for neural network pruning", equation 8, the absolute value in place of the square); share of zeros, Hu et al.
2016 ("Network trimming", equation 1); activation entropy, Luo and Wu 2017 ("An entropy-based pruning method for CNN compression",
equation 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

WEIGHT_BINS = 16
"""Of a histogram between a layer's smallest and largest weight; a 3x3 filter of few inputs fills no more."""
ACTIVATION_BINS = 32
"""Of a histogram between a unit's smallest and largest activation."""


def l1_norm(rows: NDArray[np.floating]) -> Floats:
    """[units] sum |w|."""
    return np.asarray(np.abs(rows).sum(axis=1, dtype=np.float64))


def l2_norm(rows: NDArray[np.floating]) -> Floats:
    """[units] sqrt(sum w^2)."""
    return np.asarray(np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1)))


def weight_mean(rows: NDArray[np.floating]) -> Floats:
    """[units] |mean w|: a filter whose weights cancel answers a flat input with nothing."""
    return np.asarray(np.abs(rows.mean(axis=1, dtype=np.float64)))


def weight_variance(rows: NDArray[np.floating]) -> Floats:
    """[units] mean (w - mean w)^2: a filter of equal weights sees only its input's sum."""
    return np.asarray(rows.var(axis=1, dtype=np.float64))


def weight_entropy(rows: NDArray[np.floating], bins: int = WEIGHT_BINS) -> Floats:
    """[units] entropy in bits of a unit's weights, in `bins` equal bins between the smallest and the largest of all rows."""
    values = np.asarray(rows, np.float64)
    return histogram_entropy(values, np.full(len(values), values.min()), np.full(len(values), values.max()), bins)


def activation_entropy(pooled: NDArray[np.floating], bins: int = ACTIVATION_BINS) -> Floats:
    """[units] entropy in bits of a unit's activation over samples, in `bins` equal bins between its own smallest and largest.

    Args:
        pooled: [samples, units] each sample's mean activation.
    """
    values = np.asarray(pooled, np.float64).T
    return histogram_entropy(values, values.min(axis=1), values.max(axis=1), bins)


def histogram_entropy(values: Floats, low: Floats, high: Floats, bins: int) -> Floats:
    """[rows] -sum p log2 p over the shares p of a row's values in each bin between low and high; 0 where low = high.

    Args:
        values: [rows, n] within [low, high] of their row; the last bin holds `high` itself.
    """
    width = np.where(high > low, high - low, 1.0)[:, None]
    index = np.minimum((values - low[:, None]) / width * bins, bins - 1).astype(np.int64)
    flat = (index + bins * np.arange(len(values))[:, None]).ravel()
    share = np.bincount(flat, minlength=bins * len(values)).reshape(len(values), bins) / values.shape[1]
    return np.asarray(shannon_entropy(share))


def shannon_entropy(probabilities: NDArray[np.floating]) -> Floats:
    """-sum p log2 p over the last axis; 0 log 0 is 0."""
    p = np.asarray(probabilities, np.float64)
    return np.asarray(-(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=-1))


def taylor_term(rows: NDArray[np.floating], gradients: NDArray[np.floating]) -> Floats:
    """[units] |sum w dL/dw| of one batch: how far the loss moves, to first order, when the unit's weights become 0."""
    return np.asarray(np.abs((np.asarray(rows, np.float64) * gradients).sum(axis=1)))


def normalize_gradients(squares: Sequence[Floats]) -> list[Floats]:
    """sqrt(sum over batches of (dL/dw)^2), divided by the largest of all arrays together; zeros when every gradient is 0."""
    roots = [np.sqrt(array) for array in squares]
    largest = max((float(root.max()) for root in roots if root.size), default=0.0)
    return [root / largest for root in roots] if largest > 0 else roots


def random_scores(shapes: Sequence[tuple[int, ...]], seed: int) -> list[Floats]:
    """Uniform numbers in [0, 1), the same for one seed: the order is the same whenever it is asked for."""
    generator = np.random.default_rng(seed)
    return [generator.random(shape) for shape in shapes]


def input_norm_score(weights: Floats, squares: Floats) -> Floats:
    """|w| sqrt(E[x^2]): a weight times the size of what it multiplies (Sun et al. 2023, "Wanda", equation 1).

    Args:
        weights: [inputs, outputs].
        squares: [inputs] mean squares of the inputs.
    """
    return np.asarray(np.abs(weights) * np.sqrt(squares)[:, None])


def output_error_score(weights: Floats, second_moment: Floats, damping: float = 0.01) -> Floats:
    """w^2 / [H^-1]_jj with H = E[x x^T]: the mean squared error that an output gains when this weight becomes 0 and its other weights
    are refitted (Hassibi and Stork 1993, "Optimal brain surgeon", equation 5, twice its L; per layer as in Frantar and Alistarh 2022).

    Args:
        weights: [inputs, outputs].
        second_moment: [inputs, inputs].
        damping: share of the mean diagonal that is added to it, so that inputs which are sums of others can be told apart.
    """
    diagonal = np.diag(second_moment)
    speaks = diagonal > 0
    if not speaks.any():
        return np.zeros_like(weights)
    damped = second_moment + np.eye(len(second_moment)) * (damping * diagonal.mean())
    inverse = np.diag(np.linalg.inv(damped))
    # The damping gives an input that is always 0 a second moment it does not have.
    return np.asarray(np.square(weights) / inverse[:, None] * speaks[:, None])


def movement_score(weights: NDArray[np.floating], start: NDArray[np.floating]) -> Floats:
    """(w^2 - w_0^2) / 2: what -sum lr w dL/dw of gradient descent sums to for small steps; negative for weights that moved towards 0
    (Sanh et al. 2020, "Movement pruning", equation 3; the steps are the optimizer's)."""
    return np.asarray((np.square(weights, dtype=np.float64) - np.square(start, dtype=np.float64)) / 2)
