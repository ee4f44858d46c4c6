"""Weights behind a removal, solved anew: the layer that reads fewer channels gives what it gave before, as nearly as it can.

    min over W, b of  mean |W x_kept + b - y|^2 + damping |W - W_0|^2

x_kept: patches of the channels that stay, y: the layer's output before, on calibration inputs (He, Zhang and Sun 2017, "Channel pruning for
accelerating very deep neural networks", equation 2, with the channels chosen already; ThiNet, Luo et al. 2017, section 3.2.3).
All inputs are those of the model before the removal: each layer is solved for itself.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data
from edgecompress.compress.shrink.probe import read_values
from edgecompress.keras_graph.channels import Read, Role
from edgecompress.keras_graph.groups import Groups
from edgecompress.keras_graph.network import Array, as_float32, as_float64
from edgecompress.keras_graph.weighted import bias_of, kernel_of

# Of the mean diagonal of the second moments; keeps what the samples say nothing about.
_DAMPING = 1e-3
# Unknowns of one layer: the solution costs their third power.
_MOST_UNKNOWNS = 8192
# A kernel with more zeros than this was pruned, and a solution would have none.
_MASKED_SHARE = 0.01
# Patches of one batch: a layer's moments settle long before all places are seen.
_PLACES = 8192


def refit_readers(model: keras.Model, groups: Groups, roots: Set[int], data: Data, samples: int) -> None:
    """Change, in the groups' network, the kernels and biases of Dense and Conv2D layers that read these groups and others.

    Pruned kernels stay as they are.

    Raises:
        DataError: there are no calibration inputs.
    """
    reads = [read for read in groups.channels.reads if _can_refit(groups, read, roots)]
    if not reads:
        return
    network, sources = groups.channels.network, [read.value for read in reads]
    moments: list[_Moments | None] = [None] * len(reads)
    for values in read_values(model, network, sources, data, samples, "shrink: refit"):
        for place, (read, value) in enumerate(zip(reads, values, strict=True)):
            found = _Moments.of(_patches(read, value))
            known = moments[place]
            moments[place] = found if known is None else known.plus(found)
    for read, known in zip(reads, moments, strict=True):
        if known is not None:
            _solve(groups, read, roots, known)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over patches.

    Args:
        count: of patches.
        sums: [n].
        products: [n, n].
    """

    count: int
    sums: NDArray[np.float64]
    products: NDArray[np.float64]

    @staticmethod
    def of(patches: NDArray[np.float64]) -> _Moments:
        return _Moments(len(patches), patches.sum(axis=0), patches.T @ patches)

    def plus(self, other: _Moments) -> _Moments:
        return _Moments(self.count + other.count, self.sums + other.sums, self.products + other.products)


def _can_refit(groups: Groups, read: Read, roots: Set[int]) -> bool:
    operator = read.call.operator
    if operator.kind not in (keras.layers.Dense, keras.layers.Conv2D) or len(groups.channels.network.calls_of(operator)) != 1:
        return False
    if int((operator.config or {}).get("groups", 1)) != 1:
        return False
    gone = np.isin(groups.channels.roots(groups.channels.layouts[read.value].ids), list(roots))
    kernel = kernel_of(operator)
    if np.count_nonzero(kernel == 0) > _MASKED_SHARE * kernel.size:
        return False
    return bool(gone.any() and not gone.all()) and kernel.size // kernel.shape[-1] <= _MOST_UNKNOWNS


def _patches(read: Read, value: Array) -> NDArray[np.float64]:
    """[places, taps x channels] what the kernel is multiplied with, in the kernel's order."""
    operator = read.call.operator
    inputs = keras.ops.convert_to_tensor(value)
    if operator.kind is keras.layers.Dense:
        rows = as_float64(keras.ops.convert_to_numpy(inputs)).reshape(-1, read.value.channels)
    else:
        config = operator.config or {}
        patches = keras.ops.image.extract_patches(
            inputs, config["kernel_size"], strides=config["strides"], dilation_rate=config["dilation_rate"], padding=config["padding"]
        )
        rows = as_float64(keras.ops.convert_to_numpy(patches)).reshape(-1, patches.shape[-1])
    return rows[:: max(1, len(rows) // _PLACES)]


def _solve(groups: Groups, read: Read, roots: Set[int], moments: _Moments) -> None:
    """Ridge regression around the weights as they are, on centred patches."""
    operator = read.call.operator
    kernel = as_float64(kernel_of(operator))
    taps = kernel.size // (kernel.shape[-2] * kernel.shape[-1])
    gone = np.isin(groups.channels.roots(groups.channels.layouts[read.value].ids), list(roots))
    stays = np.flatnonzero(np.tile(~gone, taps))
    mean = moments.sums / moments.count
    covariance = moments.products / moments.count - np.outer(mean, mean)
    flat = kernel.reshape(-1, kernel.shape[-1])
    kept = covariance[np.ix_(stays, stays)]
    damping = _DAMPING * max(float(np.diag(kept).mean()), 0.0)
    solved: NDArray[np.floating] = flat[stays]
    # Inputs that never change say nothing about weights: only the bias follows.
    if damping > np.finfo(np.float64).tiny:
        right = covariance[stays] @ flat + damping * flat[stays]
        solved = np.linalg.solve(kept + damping * np.eye(len(stays)), right)
    refit = np.zeros_like(flat)
    refit[stays] = solved
    bias = bias_of(operator) + mean @ flat - mean[stays] @ solved
    # A bias that is new is cut as the layer's channels are.
    groups.channels.cut(operator, 1, 0, groups.made_by(operator), Role.MAKES)
    if operator.config is not None:
        operator.config = {**operator.config, "use_bias": True}
    operator.weights = [as_float32(refit.reshape(kernel.shape)), as_float32(bias)]
