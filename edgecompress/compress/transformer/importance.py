"""Which heads and units go first, judged by the weights W_u through which each one reaches the output.

    l1      sum |W_u|
    taylor  sum over batches of |<W_u, dL/dW_u>|: the loss' first-order change when the head or unit is scaled to zero
            (Molchanov et al. 2017, equation 8; Michel, Levy and Neubig 2019, equation 2, whose mask is a factor on W_u)

Over all layers together, scores are divided by their layer's L2 norm, as both papers do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data
from edgecompress.compress.saliency.gradients import batch_gradients
from edgecompress.progress import Progress

_BATCH_SIZE = 16


def score_by_size(kernels: Sequence[NDArray[np.floating]]) -> list[NDArray[np.float64]]:
    """L1 norm of each first index of each kernel [n, ...]."""
    return [np.abs(np.asarray(kernel, np.float64)).reshape(len(kernel), -1).sum(axis=1) for kernel in kernels]


def score_by_loss(
    model: keras.Model, variables: Sequence[keras.Variable], data: Data, *, samples: int, progress: Progress
) -> list[NDArray[np.float64]]:
    """First-order Taylor of each first index of each variable [n, ...].

    Raises:
        DataError: there is no training data, or no loss follows from it.
    """
    kernels = [np.asarray(variable.value, np.float64) for variable in variables]
    scores = [np.zeros(len(kernel)) for kernel in kernels]
    for gradients in batch_gradients(model, variables, data, samples=samples, batch_size=_BATCH_SIZE, progress=progress):
        for score, kernel, gradient in zip(scores, kernels, gradients, strict=True):
            score += np.abs((kernel * gradient).reshape(len(kernel), -1).sum(axis=1))
    return scores


def choose_kept(scores: Sequence[NDArray[np.float64]], share: float, *, multiple_of: int, together: bool) -> list[list[int]]:
    """Indices that stay in each layer, in order.

    Args:
        share: of all indices; rounded up.
        multiple_of: how many stay in each layer is rounded up to a multiple of this, or all stay.
        together: all layers compete, each keeping at least `multiple_of`; otherwise each keeps the share.
    """
    counts = _counts_together(scores, share) if together else [_share_of(score, share) for score in scores]
    return [_best(score, _round_up(max(count, 1), multiple_of, len(score))) for score, count in zip(scores, counts, strict=True)]


def _counts_together(scores: Sequence[NDArray[np.float64]], share: float) -> list[int]:
    normalized = [score / max(float(np.linalg.norm(score)), np.finfo(np.float64).tiny) for score in scores]
    owners = np.repeat(np.arange(len(scores)), [len(score) for score in scores])
    order = np.argsort(-np.concatenate(normalized), kind="stable")[: _share_of(owners, share)]
    return [int((owners[order] == layer).sum()) for layer in range(len(scores))]


def _share_of(indices: NDArray[np.generic], share: float) -> int:
    """Rounded up, but not because of the last bit of a product."""
    return math.ceil(round(share * len(indices), 6))


def _round_up(count: int, multiple_of: int, whole: int) -> int:
    return min(-(-count // multiple_of) * multiple_of, whole)


def _best(score: NDArray[np.float64], count: int) -> list[int]:
    return sorted(int(index) for index in np.argsort(-score, kind="stable")[:count])
