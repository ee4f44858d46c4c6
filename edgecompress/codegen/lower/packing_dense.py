"""Dense weights in fewer bits than eight, in the order in which the DSP kernels meet them (firmware/include/ec_dsp_packed.h).

    nibbles   base + step * u, u of four bits: one element of four outputs in each half word
    codes     places in codebooks of at most 32 values: elements 0 and 2, then 1 and 3, of each of four outputs
    fours     one or two weights of each four along the inputs, and their places
    blocks    fours along the inputs that are not all zero

The first three go by fours of outputs and fours of inputs,
Outputs and inputs are padded to fours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.packed_weights import Codebooks, code_stream, find_book, find_books, kept_of_fours
from edgecompress.codegen.lower.packing import FILTERS

_FOUR = 4
_NIBBLES = 16
_WIDEST_PAIRED = 5
_BOOKS_SHARE = 2 / 3
_BLOCK_INPUTS = 1020
"""EC_BLOCK_INPUTS: 255 fours, which a byte counts."""


@dataclass(frozen=True, eq=False)
class Nibbles:
    """Weights that are `base + step * u`.

    Attributes:
        words: uint32 [outputs / 4, inputs / 4, 2].
    """

    words: NDArray[np.uint32]
    base: int
    step: int

    @property
    def bytes(self) -> int:
        """What it takes of the flash."""
        return 4 * self.words.size


@dataclass(frozen=True, eq=False)
class Codes:
    """Weights as places in a codebook.

    Attributes:
        stream: uint8, 2 * bits for four outputs and four inputs.
        books: int8 [outputs or 1, values].
        bits: of a code.
    """

    stream: NDArray[np.uint8]
    books: NDArray[np.int8]
    bits: int

    @property
    def bytes(self) -> int:
        """What it takes of the flash."""
        return self.stream.size + self.books.size


@dataclass(frozen=True, eq=False)
class Fours:
    """The weights that are not 0.

    Attributes:
        stream: int8 [outputs / 4, inputs / 4, 5 * kept].
        kept: of each four, 1 or 2.
    """

    stream: NDArray[np.int8]
    kept: int

    @property
    def bytes(self) -> int:
        """What it takes of the flash."""
        return self.stream.size


@dataclass(frozen=True, eq=False)
class DenseBlocks:
    """The fours of an output's weights that are not all zero.

    Attributes:
        stream: int8: for each output and each 1,020 of its inputs the number of blocks, then their places and weights.
        count: blocks of all outputs.
    """

    stream: NDArray[np.int8]
    count: int

    @property
    def bytes(self) -> int:
        """What it takes of the flash."""
        return self.stream.size


DensePacking = Nibbles | Codes | Fours | DenseBlocks


def pack_dense(matrix: NDArray[np.int8]) -> DensePacking | None:
    """The smallest form of [outputs, inputs], or None where no form takes these weights.

    A codebook for each output takes twice the instructions of one for all, so it must be a third smaller than any other form.
    """
    forms = (_nibbles(matrix), _codes(matrix, find_book), _fours(matrix), dense_blocks(matrix))
    found = min((form for form in forms if form is not None), key=lambda form: form.bytes, default=None)
    books = _codes(matrix, find_books)
    if books is None or (found is not None and books.bytes > _BOOKS_SHARE * found.bytes):
        return found
    return books


def _nibbles(matrix: NDArray[np.int8]) -> Nibbles | None:
    values = np.unique(matrix).astype(np.int64)
    step = int(np.gcd.reduce(np.diff(values))) or 1
    base = int(values[0])
    if int(values[-1]) - base > (_NIBBLES - 1) * step:
        return None
    u = _quads((matrix.astype(np.int64) - base) // step)
    halves = u @ np.array([1, 16, 256, 4096]) - 8 * 4096  # [quads, fours, even or odd, element]
    words = (halves & 0xFFFF) @ np.array([1, 1 << 16])
    return Nibbles(words.astype(np.uint32), base, step)


def _codes(matrix: NDArray[np.int8], find: Callable[[NDArray[np.int8]], Codebooks]) -> Codes | None:
    found = find(matrix)
    if found.bits > _WIDEST_PAIRED:
        return None
    pairs = _quads(found.codes).swapaxes(-1, -2)
    return Codes(code_stream(pairs, found.bits), found.books, found.bits)


def _fours(matrix: NDArray[np.int8]) -> Fours | None:
    found = kept_of_fours(matrix, 1) or kept_of_fours(matrix, 2)
    if found is None:
        return None
    values, places = found
    kept = values.shape[2]
    weights = _by_slot(values)
    shifted = _by_slot(places) << np.arange(0, 8, 2)
    blocks = np.concatenate([weights.reshape(*weights.shape[:2], -1), shifted.sum(axis=-1).astype(np.uint8).view(np.int8)], axis=-1)
    return Fours(np.ascontiguousarray(blocks), kept)


def dense_blocks(matrix: NDArray[np.int8]) -> DenseBlocks | None:
    """The blocks of [outputs, inputs]; None for inputs that are no fours."""
    if matrix.shape[1] % _FOUR:
        return None
    stream, count = bytearray(), 0
    for row in matrix:
        for first in range(0, len(row), _BLOCK_INPUTS):
            fours = row[first : first + _BLOCK_INPUTS].reshape(-1, _FOUR)
            kept = np.flatnonzero(fours.any(axis=1))
            stream.append(len(kept))
            stream += np.column_stack([kept.astype(np.uint8), fours[kept].view(np.uint8)]).tobytes()
            count += len(kept)
    return DenseBlocks(np.frombuffer(bytes(stream), np.int8), count)


def _by_slot(kept: NDArray[np.integer]) -> NDArray[np.integer]:
    """[fours of outputs, fours of inputs, kept, 4 outputs] of [outputs, fours of inputs, kept], padded with zeros."""
    padded = np.pad(kept, ((0, -len(kept) % FILTERS), (0, 0), (0, 0)))
    return padded.reshape(-1, FILTERS, *padded.shape[1:]).transpose(0, 2, 3, 1)


def _quads(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """[fours of outputs, fours of inputs, elements (0, 2) or (1, 3), the two of them, 4 outputs], padded with zeros."""
    outputs, inputs = matrix.shape
    padded = np.pad(matrix, ((0, -outputs % FILTERS), (0, -inputs % _FOUR)))
    fours: NDArray[np.int64] = padded.reshape(-1, FILTERS, padded.shape[1] // _FOUR, 2, 2).transpose(0, 2, 4, 3, 1)
    return fours
