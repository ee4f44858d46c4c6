"""Weights and channels in the order in which the kernels of application processors read them, and how far outputs may overlap inputs.

`firmware/include/ec_wide.h` states the contract; docs/kernels.md draws the layouts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.leads import first_bytes
from edgecompress.codegen.lower.packing import FoldedBias
from edgecompress.codegen.program import Constant, ConstantArg, Names
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Tensor
from edgecompress.numerics.affine import INT8_MIN
from edgecompress.numerics.fixedpoint import FixedScale

EIGHT = 8
"""Output channels that lie side by side: EC_EIGHT."""

STEP = 4
"""Elements of a window that one step multiplies."""

PIXELS = 4
"""Windows at a time: EC_WIDE_PIXELS."""

# Channels and elements are padded with zeros; what that may add to a layer's weights.
_PADDING_BYTES = 4096


def eights_of(channels: int) -> int:
    """How many eights of channels there are; the last one is padded."""
    return -(-channels // EIGHT)


def padded_bytes(groups: int, filters: int, n: int) -> int:
    """What weights take that `pack_steps` has padded: of so many groups of filters with `n` elements."""
    return groups * eights_of(filters) * EIGHT * -(-n // STEP) * STEP


def worth_padding(dense: int, packed: int) -> bool:
    """Whether weights of `dense` bytes may grow to `packed` bytes: there is memory, but padding takes time as well."""
    return packed <= 2 * dense + _PADDING_BYTES


def pack_steps(matrix: NDArray[np.int8], groups: int) -> NDArray[np.int8]:
    """[groups * filters, n] as [groups][eights][steps][8][4], padded with zeros."""
    filters, n = matrix.shape[0] // groups, matrix.shape[1]
    padded = np.zeros((groups, eights_of(filters) * EIGHT, -(-n // STEP) * STEP), np.int8)
    padded[:, :filters, :n] = matrix.reshape(groups, filters, n)
    steps = padded.reshape(groups, -1, EIGHT, padded.shape[2] // STEP, STEP).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(steps).reshape(-1)


def channel_constant(
    names: Names, matrix: NDArray[np.int8], folded: FoldedBias, scales: Sequence[FixedScale], eights: NDArray[np.int64]
) -> ConstantArg:
    """Bias, unsigned bias, multiplier and shift of eights of channels.

    Args:
        matrix: [channels, n], weights.
        folded: biases of the channels.
        scales: one for all, or of each channel; all shifting to the right.
        eights: [eights, 8], which channels they are; -1 is none.
    """
    spread = tuple(scales) * (len(matrix) if len(scales) == 1 else 1)
    unsigned = folded.values + INT8_MIN * matrix.astype(np.int64).sum(axis=1)
    rows = np.array(
        [folded.values, unsigned, [s.multiplier for s in spread], [-1 - s.shift for s in spread]],
        np.int64,
    )
    rows = np.append(rows, np.zeros((4, 1), np.int64), axis=1)  # channel -1
    values = np.ascontiguousarray(rows[:, eights].transpose(1, 0, 2)).astype(np.int32).reshape(-1)
    comment = f"channels [{len(eights)}][4][{EIGHT}]: bias, unsigned bias, multiplier, right shift before the last bit"
    return ConstantArg(Constant(names.constant("channels"), "int32_t", values, comment))


def padded_eights(groups: int, filters: int) -> NDArray[np.int64]:
    """The channels of each eight where groups of filters are padded: [eights, 8]."""
    order = np.full((groups, eights_of(filters) * EIGHT), -1, np.int64)
    order[:, :filters] = np.arange(groups * filters).reshape(groups, filters)
    return order.reshape(-1, EIGHT)


def overlapping_eights(channels: int) -> NDArray[np.int64]:
    """The channels of each eight where the last one ends with the last channel: [eights, 8]."""
    starts = np.minimum(np.arange(eights_of(channels)) * EIGHT, channels - EIGHT)
    return starts[:, None] + np.arange(EIGHT)


def tiles_lead(options: ConvOptions | DepthwiseConvOptions, source: Tensor, weights: Tensor, output: Tensor, pixels: int) -> int:
    """For a kernel that takes so many output pixels at a time, in order, and may read their windows until the last of their outputs is
    written. Bytes.
    """
    images, _, _, channels = output.shape
    starts = (np.arange(images)[:, None] * (source.bytes // images) + first_bytes(options, source, weights, output)[None, :]).reshape(-1)
    # The earliest byte that this pixel or a later one reads.
    earliest = np.minimum.accumulate(starts[::-1])[::-1]
    tiles = np.arange(0, len(starts), pixels)
    written = np.minimum(tiles + pixels, len(starts)) * channels
    return int((written - earliest[tiles]).max())
