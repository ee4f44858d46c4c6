"""Codebooks: which few whole numbers in [-127, 127] stand for a kernel's weights, and at what scale.

All work on columns [N, C], one for each output channel, and give levels [G, K] (G = 1 for the whole layer, C for one codebook a channel)
and scales [C]. A weight w of channel c becomes `scales[c] * nearest(levels, w / scales[c])`. Both -127 and 127 are always levels, and no
scale is so large that a channel's largest weight would miss them: the converter then finds the same integers.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

LARGEST = 127.0
Start: TypeAlias = Literal["linear", "density", "kmeans++"]

_LLOYD_ROUNDS = 300
# Codebook and scales take turns; a third turn changes the error of normal weights by less than 1 %.
_TURNS = 2
_CLIPS = np.linspace(1.0, 0.1, 46)


def largest_scales(columns: Floats) -> Floats:
    """[C] max|w| / 127, as the converter has it; 1 for a channel of zeros."""
    largest = np.max(np.abs(columns), axis=0)
    return _positive(largest, LARGEST) / LARGEST


def uniform_levels(bits: int) -> Floats:
    """[1, 2^bits - 1] evenly spaced whole numbers: 127 k / (2^(bits - 1) - 1), rounded."""
    steps = 2 ** (bits - 1) - 1
    levels: Floats = np.round(LARGEST * np.arange(-steps, steps + 1) / steps)
    return levels[np.newaxis]


def log_levels(bits: int, base: float) -> Floats:
    """[1, K] with K <= 2^bits - 1: 0 and +-127 / base^k; magnitudes that round to the same number or to 0 are one level."""
    sizes = np.round(LARGEST / base ** np.arange(2 ** (bits - 1) - 1))
    return np.unique(np.concatenate([-sizes, [0.0], sizes]))[np.newaxis]


def with_zero(levels: Floats) -> Floats:
    """The levels with 0 among them: in place of the nearest to 0 of each codebook; as one more where only the ends are there."""
    if np.all(np.any(levels == 0, axis=1)):
        return levels
    if levels.shape[1] <= 2:
        return np.insert(levels, levels.shape[1] // 2, 0.0, axis=1)
    changed = levels.copy()
    nearest = 1 + np.argmin(np.abs(levels[:, 1:-1]), axis=1)
    missing = ~np.any(levels == 0, axis=1)
    changed[np.flatnonzero(missing), nearest[missing]] = 0.0
    return changed


def ternary_scales(columns: Floats) -> Floats:
    """[C] alpha / 127 of -alpha, 0, alpha: the exact minimum of the squared error.

    With the k largest |w| kept, alpha is their mean and the error falls by (sum of them)^2 / k (Li et al. 2016, equations 4 to 6), so the
    best k is found by trying each; their threshold 0.7 mean|w| approximates it.
    """
    sizes = -np.sort(-np.abs(columns), axis=0)
    counts = np.arange(1, len(sizes) + 1)[:, np.newaxis]
    sums = np.cumsum(sizes, axis=0)
    best = np.argmax(sums**2 / counts, axis=0)
    return _positive(sums[best, np.arange(sizes.shape[1])] / (best + 1)) / LARGEST


def binary_scales(columns: Floats) -> Floats:
    """[C] mean|w| / 127: the exact minimum of the squared error of -alpha, alpha (Rastegari et al. 2016, equation 6)."""
    return _positive(np.mean(np.abs(columns), axis=0)) / LARGEST


def clipped_scales(columns: Floats, levels: Floats, clip: float | Literal["mse"]) -> Floats:
    """[C] clip * max|w| / 127; for "mse" the clip with the smallest squared error, out of 46 between 0.1 and 1."""
    full = largest_scales(columns)
    if clip != "mse":
        return full * clip
    errors = np.stack([np.sum((columns - on_levels(columns, levels, full * share)) ** 2, axis=0) for share in _CLIPS])
    chosen: Floats = full * _CLIPS[np.argmin(errors, axis=0)]
    return chosen


def cluster(
    columns: Floats, clusters: int, *, scope: Literal["layer", "channel"], start: Start, keep_zero: bool, seed: int = 0
) -> tuple[Floats, Floats]:
    """Levels by k-means and scales by least squares, in turns.

    Args:
        clusters: K >= 2; 3 where `keep_zero` asks for a 0 between the ends.
        keep_zero: 0 is a level.

    Returns:
        Levels [1 or C, K], whole numbers (some may be equal), and scales [C].
    """
    scales = largest_scales(columns)
    levels = np.empty((0, 0))
    for turn in range(_TURNS):
        rows = columns / scales
        values = rows.reshape(1, -1) if scope == "layer" else rows.T
        if turn == 0:
            levels = start_levels(values, max(clusters, 3) if keep_zero else clusters, start, keep_zero=keep_zero, seed=seed)
        levels = lloyd(values, levels, _pinned(levels, keep_zero))
        scales = fitted_scales(columns, levels, scales)
    return np.sort(np.round(levels), axis=1), scales


def start_levels(values: Floats, count: int, start: Start, *, keep_zero: bool, seed: int = 0) -> Floats:
    """[G, count] ascending, with -127, 127 and, if kept, 0 among them.

    Args:
        values: [G, n] in int8 counts.
    """
    fixed = np.array([-LARGEST, 0.0, LARGEST] if keep_zero else [-LARGEST, LARGEST])
    free = count - len(fixed)
    if free <= 0:
        return np.tile(fixed, (len(values), 1))
    match start:
        case "linear":
            even = np.linspace(-LARGEST, LARGEST, count)
            return with_zero(np.tile(even, (len(values), 1))) if keep_zero else np.tile(even, (len(values), 1))
        case "density":
            chosen = np.quantile(values, (np.arange(free) + 0.5) / free, axis=1).T
        case "kmeans++":
            chosen = _spread(values, fixed, free, np.random.default_rng(seed))
    return np.sort(np.concatenate([np.tile(fixed, (len(values), 1)), chosen], axis=1), axis=1)


def lloyd(values: Floats, levels: Floats, pinned: NDArray[np.bool_]) -> Floats:
    """Lloyd's algorithm in one dimension, for G sets of values at once, until no level moves (or 300 rounds).

    The sets are sorted and laid end to end, so a round is one search for G * (K - 1) borders and differences of prefix sums.

    Args:
        values: [G, n].
        levels: [G, K] ascending.
        pinned: [G, K] levels that stay.

    Returns:
        [G, K] ascending; a level that no value is nearest to stays where it is.
    """
    groups, count = values.shape
    # Far enough apart that values and borders of one set stay between those of its neighbours.
    span = 2.0 * (float(np.max(np.abs(values), initial=0.0)) + float(np.max(np.abs(levels)))) + 1.0
    shift = (span * np.arange(groups))[:, np.newaxis]
    ordered = np.sort(values, axis=1)
    line = (ordered + shift).ravel()
    sums = np.concatenate([[0.0], np.cumsum(ordered.ravel())])
    edges = (count * np.arange(groups + 1))[:, np.newaxis]
    for _ in range(_LLOYD_ROUNDS):
        borders = np.searchsorted(line, (levels[:, 1:] + levels[:, :-1]) / 2 + shift)
        ends = np.concatenate([edges[:-1], borders, edges[1:]], axis=1)
        sizes = np.diff(ends, axis=1)
        means = np.diff(sums[ends], axis=1) / np.maximum(sizes, 1)
        moved = np.where(pinned | (sizes == 0), levels, means)
        if np.allclose(moved, levels, rtol=0, atol=1e-9):
            return moved
        levels = np.sort(moved, axis=1)
    return levels


def fitted_scales(columns: Floats, levels: Floats, scales: Floats) -> Floats:
    """[C] the least-squares scale for the levels that weights have now, sum(w q) / sum(q^2), within what `highest_scales` allows."""
    whole = nearest(columns / scales, levels)
    squares = np.sum(whole**2, axis=0)
    fitted = np.where(squares > 0, np.sum(columns * whole, axis=0) / np.maximum(squares, 1.0), scales)
    return np.minimum(np.where(fitted > 0, fitted, scales), highest_scales(columns, levels))


def highest_scales(columns: Floats, levels: Floats) -> Floats:
    """[C] the largest scale at which each channel's largest weight still rounds to 127 or -127."""
    border = np.maximum(levels[:, -1] + levels[:, -2], -levels[:, 0] - levels[:, 1]) / 2
    largest = np.max(np.abs(columns), axis=0)
    limits = np.divide(largest, border, out=np.full(len(largest), np.inf), where=(border > 0) & (largest > 0))
    return np.asarray(limits, np.float64)


def on_levels(columns: Floats, levels: Floats, scales: Floats) -> Floats:
    """[N, C] the weights as they come out."""
    return nearest(columns / scales, levels) * scales


def nearest(ratios: Floats, levels: Floats) -> Floats:
    """[N, C] the nearest level of each ratio; halfway, the upper one."""
    borders = (levels[:, 1:] + levels[:, :-1]) / 2
    if len(levels) == 1:
        whole: Floats = levels[0][np.searchsorted(borders[0], ratios, side="right")]
        return whole
    return np.stack(
        [row[np.searchsorted(edge, ratio, side="right")] for row, edge, ratio in zip(levels, borders, ratios.T, strict=True)], 1
    )


def index_bits(levels: int) -> int:
    """Bits of an index into so many levels: ceil(log2 K), at least 1."""
    return max(1, int(np.ceil(np.log2(levels))))


def packed_bytes(weights: int, levels: int, codebooks: int) -> int:
    """Indices of `index_bits` each, one after the other, and one byte a level for each codebook."""
    return -(-weights * index_bits(levels) // 8) + levels * codebooks


def _pinned(levels: Floats, keep_zero: bool) -> NDArray[np.bool_]:
    ends: NDArray[np.bool_] = np.abs(levels) == LARGEST
    return ends | (levels == 0) if keep_zero else ends


def _spread(values: Floats, fixed: Floats, count: int, random: np.random.Generator) -> Floats:
    """[G, count] values of each set, each drawn with a probability that grows with the squared distance to the nearest level so far."""
    chosen = np.empty((len(values), 0))
    distances = np.min((values[:, :, np.newaxis] - fixed) ** 2, axis=2)
    for _ in range(count):
        totals = np.cumsum(distances, axis=1)
        drawn = random.random(len(values)) * totals[:, -1]
        picks = np.minimum((totals < drawn[:, np.newaxis]).sum(axis=1), values.shape[1] - 1)
        new = np.take_along_axis(values, picks[:, np.newaxis], axis=1)
        distances = np.minimum(distances, (values - new) ** 2)
        chosen = np.concatenate([chosen, new], axis=1)
    return chosen


def _positive(sizes: Floats, instead: float = 1.0) -> Floats:
    """The sizes of channels, with a positive one for a channel of zeros, which any scale suits."""
    positive: Floats = np.where(sizes > 0, sizes, instead)
    return positive
