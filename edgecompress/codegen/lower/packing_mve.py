"""Weights and scales in the order in which MVE kernels read them, and how far their outputs may overlap their inputs.

`firmware/include/ec_mve.h` states the contract; docs/kernels.md draws the layouts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.leads import first_bytes
from edgecompress.codegen.lower.packing import FILTERS, FoldedBias
from edgecompress.codegen.lower.weighted import scale_argument
from edgecompress.codegen.program import Constant, Field, Names
from edgecompress.graph import ConvOptions, Tensor
from edgecompress.numerics.fixedpoint import FixedScale

LANES = 16
"""Bytes of a vector."""

FOUR_BYTES = 48
"""sizeof(ec_mve_four): what four channels need, in scratch."""

_SUM_BOUND = (1 << 31) - 1
_MULTIPLIER_BITS = 30
_NARROW_SHIFTS = 4
# Narrow channels save 6 bytes and are folded at run time: worth it where that is much beside a channel's weights.
_FEW_WEIGHTS = 160


def fits_sums(folded: FoldedBias) -> bool:
    """Whether no sum can leave int32."""
    return folded.bound <= _SUM_BOUND


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


def channel_fields(
    names: Names,
    weights_each: int,
    bias: NDArray[np.int32] | None,
    folded: FoldedBias,
    scales: Sequence[FixedScale],
    channels: int,
) -> dict[str, Field]:
    """The fields of an `ec_mve_channels`.

    Args:
        weights_each: weights of a channel.
        bias: of the file, [channels].
        folded: the same with the zero point's part.
        scales: one, or [channels].
        channels: how many there are.
    """
    start = np.zeros(channels, np.int32) if bias is None else bias
    narrow = _narrow_scales(names, scales) if weights_each < _FEW_WEIGHTS and len(scales) == channels else None
    if narrow is not None and np.array_equal(start, start.astype(np.int16)):
        values = Constant(names.constant("bias"), "int16_t", start.astype(np.int16), f"bias [{channels}]")
        return {"narrow_bias": values, **narrow}
    return {"bias": folded_bias(names, folded), "scales": scale_argument(names, scales), "scale_stride": int(len(scales) > 1)}


def _narrow_scales(names: Names, scales: Sequence[FixedScale]) -> dict[str, Field] | None:
    """Multiplier and shift in a word, or None where shifts lie too far apart, or a multiplier is no full one."""
    base = min(s.shift for s in scales)
    if any(s.multiplier >> _MULTIPLIER_BITS != 1 or s.shift - base >= _NARROW_SHIFTS for s in scales):
        return None
    words = [(s.multiplier & ((1 << _MULTIPLIER_BITS) - 1)) | (s.shift - base) << _MULTIPLIER_BITS for s in scales]
    comment = f"scales [{len(words)}]: shift {base:+d} in the upper two bits, multiplier without its own"
    return {
        "narrow_scales": Constant(names.constant("scales"), "uint32_t", np.array(words, np.uint32), comment),
        "narrow_shift": base,
    }


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
