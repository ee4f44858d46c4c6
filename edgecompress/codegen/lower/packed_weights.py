"""Constant weights in fewer bits than eight, as firmware/include/ec_packed.h unpacks them.

    codebook   every weight as a code of 1 to 7 bits, the place of its value in a codebook of the layer or of its filter
    N of four  of each four weights of a filter at most N (1 or 2) are not 0: N values, and N places of two bits

Weights of 4 bits and clustered ones are a codebook of up to 16 values, ternary ones take 2 bits. Codes are one stream without gaps, the
lowest bit of a byte first, so that 32 values take 5 bits a weight and not 5.33. The C twin of `unpack` is ec_unpack.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WIDEST_CODE = 7
_FOUR = 4
_PLACE_BITS = 2


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """Fields of an `ec_packed_weights`.

    Attributes:
        values: codebooks one after the other, or the kept weights; int8.
        codes: the stream; uint8.
        bits: of a code.
        book_stride: from one filter's codebook to the next; 0 where all share one.
        kept: weights kept of each four; 0 for codebooks.
        filter_len: weights of a filter.
    """

    values: NDArray[np.int8]
    codes: NDArray[np.uint8]
    bits: int
    book_stride: int
    kept: int
    filter_len: int

    @property
    def bytes(self) -> int:
        """What it takes of the flash."""
        return self.values.size + self.codes.size

    @property
    def about(self) -> str:
        """In a few words, for the generated source."""
        if self.kept:
            return f"{self.kept} of each {_FOUR}, and their places"
        return f"codes of {self.bits} bits into {'one codebook' if self.book_stride == 0 else 'a codebook a filter'}"


@dataclass(frozen=True, eq=False)
class Codebooks:
    """Weights by their values.

    Attributes:
        books: int8 [filters or 1, values].
        codes: int64 [filters, weights of a filter], places in the filter's book.
    """

    books: NDArray[np.int8]
    codes: NDArray[np.int64]

    @property
    def bits(self) -> int:
        """Of a code."""
        return max(1, int(self.books.shape[1] - 1).bit_length())


def pack_weights(matrix: NDArray[np.int8]) -> PackedWeights | None:
    """The smallest packed form of [filters, weights of a filter], or None where none is smaller than the bytes."""
    found = min(_forms(matrix), key=lambda form: form.bytes, default=None)
    return found if found is not None and found.bytes < matrix.size else None


def unpack(packed: PackedWeights, filters: int) -> NDArray[np.int8]:
    """The weights again, [filters, weights of a filter]."""
    if packed.kept:
        return _unpack_fours(packed, filters)
    codes = _stream_codes(packed.codes, packed.bits, filters * packed.filter_len).reshape(filters, packed.filter_len)
    matrix: NDArray[np.int8] = packed.values[codes + np.arange(filters)[:, None] * packed.book_stride]
    return matrix


def _forms(matrix: NDArray[np.int8]) -> Iterator[PackedWeights]:
    if matrix.size == 0:
        return
    for form in (_with_codes(find_book(matrix)), _with_codes(find_books(matrix)), _fours(matrix, 1), _fours(matrix, 2)):
        if form is not None:
            yield form


def _with_codes(found: Codebooks) -> PackedWeights | None:
    if found.bits > _WIDEST_CODE:
        return None
    stride = found.books.shape[1] if len(found.books) > 1 else 0
    return PackedWeights(found.books.reshape(-1), code_stream(found.codes, found.bits), found.bits, stride, 0, found.codes.shape[1])


def find_book(matrix: NDArray[np.int8]) -> Codebooks:
    """One codebook for all."""
    book, codes = np.unique(matrix, return_inverse=True)
    return Codebooks(book.astype(np.int8)[None], codes.reshape(matrix.shape).astype(np.int64))


def find_books(matrix: NDArray[np.int8]) -> Codebooks:
    """One for each filter, as long as the longest one; shorter ones end in zeros."""
    found = [np.unique(row, return_inverse=True) for row in matrix]
    books = np.zeros((len(found), max(len(book) for book, _ in found)), np.int8)
    for row, (book, _) in zip(books, found, strict=True):
        row[: len(book)] = book
    return Codebooks(books, np.stack([codes.reshape(-1) for _, codes in found]).astype(np.int64))


def _fours(matrix: NDArray[np.int8], kept: int) -> PackedWeights | None:
    found = kept_of_fours(matrix, kept)
    if found is None:
        return None
    values, places = found
    return PackedWeights(values.reshape(-1), code_stream(places, _PLACE_BITS), _PLACE_BITS, 0, kept, matrix.shape[1])


def kept_of_fours(matrix: NDArray[np.int8], kept: int) -> tuple[NDArray[np.int8], NDArray[np.int64]] | None:
    """Values and places, [filters, fours, kept] each, where each four of a filter has at most so many weights that are not 0.

    What a four lacks is a zero at its first place, in front: where another weight has that place, it is written later.
    """
    filters, length = matrix.shape
    padded = np.pad(matrix, ((0, 0), (0, -length % _FOUR))).reshape(filters, -1, _FOUR)
    if int(np.count_nonzero(padded, axis=2).max()) > kept:
        return None
    # A stable sort by "is not zero" brings the kept weights to the end, in their order.
    order = np.argsort(padded != 0, axis=2, kind="stable")[:, :, -kept:]
    values = np.take_along_axis(padded, order, axis=2)
    return values, np.where(values != 0, order, 0)


def _unpack_fours(packed: PackedWeights, filters: int) -> NDArray[np.int8]:
    fours = -(-packed.filter_len // _FOUR)
    places = _stream_codes(packed.codes, _PLACE_BITS, packed.values.size).reshape(-1, packed.kept)
    values = packed.values.reshape(-1, packed.kept)
    padded = np.zeros((filters * fours, _FOUR), np.int8)
    for k in range(packed.kept):
        np.put_along_axis(padded, places[:, k : k + 1], values[:, k : k + 1], axis=1)
    return padded.reshape(filters, -1)[:, : packed.filter_len]


def code_stream(codes: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Codes of `bits` bits one after the other, the lowest bit of a byte first; the last byte ends in zeros."""
    each = codes.reshape(-1, 1).astype(np.uint8) >> np.arange(bits, dtype=np.uint8) & 1
    return np.packbits(each.reshape(-1), bitorder="little")


def _stream_codes(stream: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.int64]:
    each = np.unpackbits(stream, count=count * bits, bitorder="little").reshape(count, bits).astype(np.int64)
    return each @ (1 << np.arange(bits, dtype=np.int64))
