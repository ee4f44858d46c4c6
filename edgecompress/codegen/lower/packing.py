"""Weights in the order in which the fast kernels read them, and the bounds under which those kernels are exact.

`firmware/include/ec_dsp.h` states the contract; docs/kernels.md draws the layouts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgecompress.numerics.affine import INT8_MIN
from edgecompress.numerics.fixedpoint import FixedScale

FILTERS = 4
"""Filters that a kernel sums at once."""

RAISED = 128
"""What is added to weights that kernels read as unsigned bytes."""

# Zeros that complete a four of filters or a word of elements, as a share of the weights; few bytes may be many of them.
_PADDING_SHARE = 1 / 8
_PADDING_BYTES = 512

_BLOCK_BYTES = 5
_LARGEST_FILTER = (1 << 14) - 1
_FARTHEST_BLOCK = 255

_SUM_BOUND = 1 << 30
_PACKED_SUM_BOUND = 1 << 23
_LARGEST_INPUT = -INT8_MIN


@dataclass(frozen=True, eq=False)
class FoldedBias:
    """Biases that take the zero point of the inputs out of sums over raw inputs.

    Attributes:
        values: int64 [channels]: `bias - in_zero_point * sum of weights`.
        bound: the largest absolute sum with its bias, whatever the inputs.
    """

    values: NDArray[np.int64]
    bound: int

    @property
    def fits(self) -> bool:
        """Whether sums may be doubled within int32."""
        return self.bound < _SUM_BOUND


def fold_bias(weights: NDArray[np.int8], bias: NDArray[np.int32] | None, zero_point: int) -> FoldedBias:
    """Args:
    weights: [channels, n].
    bias: [channels], or None.
    zero_point: of the inputs.
    """
    wide = weights.astype(np.int64)
    start = np.zeros(len(wide), np.int64) if bias is None else bias.astype(np.int64)
    values = start - zero_point * wide.sum(axis=1)
    reach = np.abs(values) + _LARGEST_INPUT * np.abs(wide).sum(axis=1)
    return FoldedBias(values, int(reach.max(initial=0)))


def shifts_right(scales: tuple[FixedScale, ...]) -> bool:
    """Whether every scale ends in a shift to the right by at least one."""
    return all(s.shift <= -1 for s in scales)


def worth_padding(dense: int, packed: int) -> bool:
    """Whether weights of `dense` bytes may grow to `packed` bytes."""
    return packed - dense <= max(_PADDING_BYTES, dense * _PADDING_SHARE)


def pack_single_filters(weights: NDArray[np.int8], at_once: int) -> NDArray[np.int8]:
    """Weights of so many filters side by side, element by element: [filters / at_once][n][at_once]; filters are padded with zeros.

    Args:
        weights: [filters, n].
    """
    filters, n = weights.shape
    padded = np.zeros((-(-filters // at_once) * at_once, n), np.int8)
    padded[:filters] = weights
    return np.ascontiguousarray(padded.reshape(-1, at_once, n).transpose(0, 2, 1)).reshape(-1)


def pack_element_pairs(weights: NDArray[np.int8]) -> NDArray[np.uint8] | None:
    """Pairs of elements of four filters, each weight + 128: [fours][pairs][filters 0, 1 or 2, 3][second, first element][2].

    Args:
        weights: [filters, n]; filters are padded with zeros to fours, elements to pairs.

    Returns:
        The bytes, or None where both weights of a pair are -128: with inputs of -128 their products would sum to 2^15.
    """
    filters, n = weights.shape
    padded = np.zeros((-(-filters // FILTERS) * FILTERS, n + n % 2), np.int16)
    padded[:filters, :n] = weights
    fours = padded.reshape(-1, 2, 2, padded.shape[1] // 2, 2)
    if (fours == INT8_MIN).all(axis=-1).any():
        return None
    return (fours[..., ::-1].transpose(0, 3, 1, 4, 2) + RAISED).astype(np.uint8).reshape(-1)


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of four weights that are not all zero, as ec_conv2d_blocks_dsp_s8 reads them.

    Attributes:
        stream: int8: for each filter its head, then for each block its distance from the one before in fours, and its weights.
        count: blocks of all filters.
    """

    stream: NDArray[np.int8]
    count: int


def pack_blocks(weights: NDArray[np.int8]) -> Blocks | None:
    """Block-sparse weights, [filters, n] with n a multiple of 4; None where a filter has more blocks than its head can tell."""
    filters, n = weights.shape
    stream, count = bytearray(), 0
    for blocks in weights.reshape(filters, n // 4, 4):
        # A filter without weights keeps a block of zeros: the kernel's loop runs once at least.
        kept = _reachable(np.flatnonzero(blocks.any(axis=1)).tolist() or [0])
        size = _BLOCK_BYTES * len(kept)
        if size > _LARGEST_FILTER:
            return None
        stream += (4 * size + -len(kept) % 4).to_bytes(2, "little")
        for previous, place in pairwise([0, *kept]):
            stream.append(place - previous)
            stream += blocks[place].tobytes()
        count += len(kept)
    return Blocks(np.frombuffer(bytes(stream), np.int8), count)


def _reachable(places: list[int]) -> list[int]:
    """Places with stops between those that lie more than a byte's distance apart."""
    stops: list[int] = []
    for place in places:
        while place - (stops[-1] if stops else 0) > _FARTHEST_BLOCK:
            stops.append((stops[-1] if stops else 0) + _FARTHEST_BLOCK)
        stops.append(place)
    return stops


def run_pairs(run_len: int) -> list[tuple[int, int]]:
    """The pairs of elements of one run that share a word; -1 is none. Fours go as SXTB16 takes them: (0, 2), (1, 3)."""
    pairs = [(k + first, k + first + 2) for k in range(0, run_len & ~3, 4) for first in (0, 1)]
    tail = run_len & ~3
    match run_len & 3:
        case 1:
            pairs.append((tail, -1))
        case 2:
            pairs.append((tail, tail + 1))
        case 3:
            pairs += [(tail, tail + 2), (tail + 1, -1)]
    return pairs


def whole_pairs(n: int) -> list[tuple[int, int]]:
    """Pairs of `n` elements that are padded to fours."""
    return [(a if a < n else -1, b if b < n else -1) for a, b in run_pairs(-(-n // 4) * 4)]


def element_pairs(runs: int, run_len: int) -> list[tuple[int, int]]:
    """`run_pairs` of `runs` runs that follow each other."""
    return [(r * run_len + a, r * run_len + b if b >= 0 else -1) for r in range(runs) for a, b in run_pairs(run_len)]


def pack_two_filters(weights: NDArray[np.int8], pairs: list[tuple[int, int]]) -> NDArray[np.int8] | None:
    """Weights of fours of filters with two filters in each half word: [quads][pairs][2] words.

    Args:
        weights: [filters, n]; filters are padded with zeros to fours.
        pairs: which elements share a word.

    Returns:
        The bytes, or None where the second filter of a word is -128 beside a negative first one, or could sum beyond 2^23.
    """
    filters, n = weights.shape
    padded = np.zeros((-(-filters // FILTERS) * FILTERS, n + 1), np.int64)
    padded[:filters, :n] = weights
    first, second = padded[0::2], padded[1::2]
    halves = first + 256 * second
    if halves.min(initial=0) < -(1 << 15) or _LARGEST_INPUT * int(np.abs(second).sum(axis=1).max(initial=0)) >= _PACKED_SUM_BOUND:
        return None
    order = np.array(pairs, np.int64).reshape(-1, 2)
    words = halves[:, order].astype(np.int16)  # [filters / 2, pairs, 2]; element -1 is the column of zeros
    quads = words.reshape(-1, 2, len(order), 2).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(quads).astype("<i2").view(np.int8).reshape(-1)
