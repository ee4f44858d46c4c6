"""A trained kernel W[h, w, i, o] as the kernels of cheaper layers.

    separable   W[:, :, i, o] ~= sum_k D[:, :, i, k] P[i, k, o], k < multiplier: for each input channel the truncated SVD of its [h * w, o]
                matrix, which is the best approximation of its rank (Eckart and Young 1936). A depthwise convolution D, then a pointwise one
                P (Chollet 2017; Guo et al. 2018, "Network Decoupling", theorem 1: exact with h * w filters a channel).
    grouped     W[:, :, i, o] where i and o are of one group, 0 elsewhere: the nearest block-diagonal kernel.
    bottleneck  W[h, w, i, o] ~= sum_pq A[i, p] C[h, w, p, q] B[q, o]: Tucker-2 (Kim et al. 2016). A pointwise convolution A, one of
                h x w taps C, a pointwise one B.

All in double precision; a one-dimensional kernel [k, i, o] is [k, 1, i, o].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.numerics.decompose import Floats, factor_matrix, relative_error, tucker2

_HOOI_SWEEPS = 10


@dataclass(frozen=True, eq=False)
class Separated:
    """A depthwise and a pointwise kernel.

    Attributes:
        depthwise: [h, w, i, m].
        pointwise: [1, 1, i * m, o]; row i * m + k reads filter k of channel i, as Keras orders them.
        error: ||W - W'|| / ||W||.
    """

    depthwise: Floats
    pointwise: Floats
    error: float


def separate(kernel: NDArray[np.floating], multiplier: int) -> Separated:
    """Best approximation with `multiplier` filters for each input channel; both parts share each singular value evenly.

    Args:
        kernel: [h, w, i, o].
        multiplier: at most min(h * w, o).
    """
    height, width, inputs, outputs = kernel.shape
    left = np.empty((height * width, inputs, multiplier))
    right = np.empty((inputs, multiplier, outputs))
    flat = np.asarray(kernel, np.float64).reshape(-1, inputs, outputs)
    for channel in range(inputs):
        left[:, channel], right[channel] = factor_matrix(flat[:, channel]).at(multiplier)
    error = relative_error(flat, np.einsum("tik,iko->tio", left, right))
    return Separated(left.reshape(height, width, inputs, multiplier), right.reshape(1, 1, -1, outputs), error)


@dataclass(frozen=True, eq=False)
class Grouped:
    """A grouped convolution's kernel.

    Attributes:
        kernel: [h, w, i / groups, o]; outputs of a group stand together, as Keras wants them.
        error: ||W - W'|| / ||W||.
    """

    kernel: Floats
    error: float


def group(kernel: NDArray[np.floating], input_order: NDArray[np.intp], output_order: NDArray[np.intp], groups: int) -> Grouped:
    """The blocks of the reordered kernel that stay.

    Args:
        kernel: [h, w, i, o].
        input_order: [i] which channel stands at each place of the grouped convolution's input.
        output_order: [o] the same for its output.
    """
    ordered = np.asarray(kernel, np.float64)[:, :, input_order][..., output_order]
    rows, columns = len(input_order) // groups, len(output_order) // groups
    blocks = [ordered[:, :, g * rows : (g + 1) * rows, g * columns : (g + 1) * columns] for g in range(groups)]
    kept, total = sum(float((block**2).sum()) for block in blocks), float((ordered**2).sum())
    error = float(np.sqrt(max(1.0 - kept / total, 0.0))) if total > 0 else 0.0
    return Grouped(np.concatenate(blocks, axis=-1), error)


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """Three kernels in a row.

    Attributes:
        reduce: [1, 1, i, p].
        core: [h, w, p, q].
        expand: [1, 1, q, o].
        error: ||W - W'|| / ||W||.
    """

    reduce: Floats
    core: Floats
    expand: Floats
    error: float


def narrow(kernel: NDArray[np.floating], ranks: tuple[int, int]) -> Bottleneck:
    """Tucker-2 of [h, w, i, o] with `ranks` (p, q) inner channels."""
    parts = tucker2(kernel, ranks, _HOOI_SWEEPS)
    return Bottleneck(
        reduce=parts.inputs[np.newaxis, np.newaxis],
        core=parts.core,
        expand=parts.outputs[np.newaxis, np.newaxis],
        error=relative_error(kernel, parts.compose()),
    )
