"""Weights in the order in which MVE kernels read them, and how far their outputs may overlap their inputs.

`firmware/include/ec_mve.h` states the contract; docs/kernels.md draws the layouts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.leads import first_bytes
from edgecompress.codegen.lower.packing import FILTERS, FoldedBias
from edgecompress.codegen.program import Constant, Names
from edgecompress.graph import ConvOptions, Tensor

LANES = 16
"""Bytes of a vector."""

FOUR_BYTES = 48
"""sizeof(ec_mve_four): what four channels need, in scratch."""


def fours_of(filters: int) -> int:
    """How many fours of filters there are; the last one is padded."""
    return -(-filters // FILTERS)


def pack_vectors(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Fours of filters, each with the elements that make no whole vector in front: [fours]([4][tail], [blocks][4][16]).

    Args:
        weights: [filters, n], in the order of the inputs; filters are padded with zeros to fours.

    Returns:
        The bytes. Without a whole vector, zeros follow so that a vector can be read at each filter.
    """
    filters, n = weights.shape
    padded = np.zeros((fours_of(filters), FILTERS, n), np.int8)
    padded.reshape(-1, n)[:filters] = weights
    tail = n % LANES
    blocks = padded[:, :, tail:].reshape(len(padded), FILTERS, -1, LANES).transpose(0, 2, 1, 3).reshape(len(padded), -1)
    packed = np.concatenate([padded[:, :, :tail].reshape(len(padded), -1), blocks], axis=1).reshape(-1)
    return packed if n >= LANES else np.concatenate([packed, np.zeros(LANES - tail, np.int8)])


def folded_bias(names: Names, folded: FoldedBias) -> Constant:
    """Biases as int32."""
    values = folded.values.astype(np.int32)
    return Constant(names.constant("bias"), "int32_t", values, f"bias [{len(values)}] less the zero point's part")


def windows_lead(options: ConvOptions, source: Tensor, weights: Tensor, output: Tensor) -> int:
    """For a kernel that reads two windows in the input itself while it writes their first outputs. Bytes."""
    images, _, _, channels = output.shape
    starts = _starts(images, first_bytes(options, source, weights, output), source)
    earliest = np.minimum.accumulate(starts[::-1])[::-1]
    written = np.minimum(np.arange(len(starts)) + 2, len(starts)) * channels
    return int((written - earliest).max())


def copied_rows_lead(options: ConvOptions, source: Tensor, weights: Tensor, output: Tensor) -> int:
    """For a kernel that copies all input rows of an output row, then writes that row. Bytes."""
    images, rows, columns, channels = output.shape
    starts = _starts(images, first_bytes(options, source, weights, output).reshape(rows, columns)[:, 0], source)
    written = np.arange(1, len(starts)) * columns * channels
    return int((written - starts[1:]).max(initial=-source.bytes))


def _starts(images: int, first: NDArray[np.int64], source: Tensor) -> NDArray[np.int64]:
    """The first byte that each pixel or row reads, of all images."""
    return (np.arange(images)[:, None] * (source.bytes // images) + first[None, :]).reshape(-1)
