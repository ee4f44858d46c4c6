"""Which weights live, from their saliency: by amount or threshold, one by one, N of every M, or in blocks. Numpy only.

Scores may be any real numbers; -inf marks a weight that is pruned already, and it stays so. Patterns see a kernel as rows
[outputs, positions, inputs], the order of a .tflite's OHWI filter and of its fully connected weights [out, in].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.prune.schedule import count_zeros
from edgecompress.recipe.prune import BlockPattern

Scores: TypeAlias = NDArray[np.floating]
Kept: TypeAlias = NDArray[np.bool_]
Element = TypeVar("Element", bound=np.generic)
Scope = Literal["global", "layer"]

_LEAST_SHARE = 0.1
"""Of what `layer` scope would leave a kernel: so much it keeps under `global`, so that no layer vanishes and cuts the network in two."""


def choose_kept(scores: Sequence[Scores], sparsity: float, scope: Scope) -> list[Kept]:
    """All but the lowest `count_zeros(n, sparsity)` weights live, over all kernels together or in each.

    Returns:
        One array of each kernel's shape. Among equal scores numpy's partition decides, the same way each time.
    """
    flat = [np.asarray(score, np.float64).ravel() for score in scores]
    if scope == "layer":
        chosen = [_largest(f, len(f) - count_zeros(len(f), sparsity)) for f in flat]
    else:
        protected = [_largest(f, int(_LEAST_SHARE * (1.0 - sparsity) * len(f))) for f in flat]
        everything = np.concatenate([np.where(p, np.inf, f) for p, f in zip(protected, flat, strict=True)])
        kept = _largest(everything, len(everything) - count_zeros(len(everything), sparsity))
        chosen = np.split(kept, np.cumsum([len(f) for f in flat])[:-1])
    return [(c & (f > -np.inf)).reshape(score.shape) for c, f, score in zip(chosen, flat, scores, strict=True)]


def choose_above(scores: Scores, threshold: float) -> Kept:
    """Weights that score at least `threshold` live, and so does the best of the kernel, which would else be gone."""
    return np.asarray((scores >= threshold) | ((scores == scores.max()) & (scores > -np.inf)))


def size_threshold(factor: float, elements: int) -> float:
    """lambda_0 / sqrt(m n) for a kernel of m inputs and n outputs: weights are initialised smaller in larger layers."""
    return float(factor / np.sqrt(elements))


def as_rows(kernel: NDArray[Element], axes: tuple[int, int]) -> NDArray[Element]:
    """[outputs, positions, inputs] of a kernel.

    Args:
        axes: of its outputs and its inputs.
    """
    moved = np.moveaxis(kernel, axes, (0, -1))
    return moved.reshape(moved.shape[0], -1, moved.shape[-1])


def from_rows(rows: NDArray[Element], shape: Sequence[int], axes: tuple[int, int]) -> NDArray[Element]:
    """The kernel of this shape that `as_rows` was given."""
    moved_shape = np.moveaxis(np.empty(shape, np.bool_), axes, (0, -1)).shape
    return np.moveaxis(rows.reshape(moved_shape), (0, -1), axes)


def choose_groups(rows: Scores, kept: int, of: int) -> Kept:
    """The best `kept` of each `of` neighbours along the inputs live; a last, shorter group keeps as many.

    Args:
        rows: [outputs, positions, inputs].
    """
    inputs = rows.shape[-1]
    padded = np.pad(np.asarray(rows, np.float64), ((0, 0), (0, 0), (0, -inputs % of)), constant_values=-np.inf)
    groups = padded.reshape(-1, of)
    order = np.argsort(-groups, axis=1, kind="stable")
    chosen = np.zeros(groups.shape, np.bool_)
    np.put_along_axis(chosen, order[:, :kept], True, axis=1)
    chosen &= groups > -np.inf
    return np.asarray(chosen.reshape(padded.shape)[..., :inputs])


def block_means(rows: Scores, block: BlockPattern) -> tuple[Scores, NDArray[np.int64]]:
    """Each block's mean score over its living weights, -inf where none lives, and how many weights it has; blocks at the edge are smaller.

    Args:
        rows: [outputs, positions, inputs].

    Returns:
        Two arrays [block rows, positions, block columns].
    """
    alive = rows > -np.inf
    total = _block_sums(np.where(alive, rows, 0.0), block)
    living = _block_sums(alive.astype(np.float64), block)
    sizes = _block_sums(np.ones(rows.shape), block).astype(np.int64)
    return np.where(living > 0, total / np.maximum(living, 1.0), -np.inf), sizes


def choose_blocks(means: Sequence[Scores], sizes: Sequence[NDArray[np.int64]], sparsity: float, scope: Scope) -> list[Kept]:
    """All but the lowest blocks live; as few go as reach `count_zeros` of the weights, over all kernels together or in each."""
    if scope == "layer":
        return [_drop_lowest(m.ravel(), s.ravel(), sparsity).reshape(m.shape) for m, s in zip(means, sizes, strict=True)]
    guarded = [
        np.where(_largest(m.ravel(), max(1, int(_LEAST_SHARE * (1.0 - sparsity) * m.size))) & (m.ravel() > -np.inf), np.inf, m.ravel())
        for m in means
    ]
    kept = _drop_lowest(np.concatenate(guarded), np.concatenate([s.ravel() for s in sizes]), sparsity)
    parts = np.split(kept, np.cumsum([m.size for m in means])[:-1])
    return [part.reshape(m.shape) for part, m in zip(parts, means, strict=True)]


def spread_blocks(kept: Kept, block: BlockPattern, shape: Sequence[int]) -> Kept:
    """[outputs, positions, inputs] each weight as its block."""
    wide = np.repeat(np.repeat(kept, block.outputs, axis=0), block.inputs, axis=2)
    return np.asarray(wide[: shape[0], :, : shape[2]])


def _block_sums(rows: NDArray[np.floating], block: BlockPattern) -> NDArray[np.float64]:
    outputs, positions, inputs = rows.shape
    padded = np.pad(rows, ((0, -outputs % block.outputs), (0, 0), (0, -inputs % block.inputs)))
    split = padded.reshape(-1, block.outputs, positions, padded.shape[2] // block.inputs, block.inputs)
    return np.asarray(split.sum(axis=(1, 4), dtype=np.float64))


def _drop_lowest(means: NDArray[np.floating], sizes: NDArray[np.int64], sparsity: float) -> Kept:
    order = np.argsort(means, kind="stable")
    gone = np.cumsum(sizes[order])
    needed = count_zeros(int(sizes.sum()), sparsity)
    count = int(np.searchsorted(gone, needed)) + 1 if needed else 0
    kept = np.ones(len(means), np.bool_)
    kept[order[:count]] = False
    return np.asarray(kept & (means > -np.inf))


def _largest(values: NDArray[np.floating], count: int) -> Kept:
    """True for the `count` largest entries."""
    kept = np.zeros(len(values), np.bool_)
    if count <= 0:
        return kept
    # The lowest are set apart first: partitioning is 20 times slower when most entries are equal, as those of pruned weights are.
    lowest = values.min()
    others = np.flatnonzero(values > lowest)
    if count > len(others):
        kept[others] = True
        kept[np.flatnonzero(values == lowest)[: count - len(others)]] = True
    else:
        first = len(others) - count
        kept[others[np.argpartition(values[others], first)[first:]]] = True
    return kept
