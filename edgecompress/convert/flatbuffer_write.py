"""FlatBuffers written front to back: a table first, then what it points at, because offsets only point forwards.

    table = out.table({0: Scalar(UINT32, 3), 1: Pointer()})
    out.point(table.slots[1], out.text("digits"))

Positions are byte numbers of `out.data`; what is written later may also lie behind the end, in bytes that somebody appends.
Layout: see `flatbuffer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct

import numpy as np

from edgecompress.convert.flatbuffer import INT32, UINT32

_UINT16 = Struct("<H")


@dataclass(frozen=True)
class Scalar:
    """A number that stands in the table itself."""

    kind: Struct
    value: int | float


@dataclass(frozen=True)
class Pointer:
    """An offset that `ForwardWriter.point` fills in."""


@dataclass(frozen=True)
class Written:
    """A table or a vector: where it begins, and where its offsets stand, by field id or index."""

    position: int
    slots: Mapping[int, int]


class ForwardWriter:
    """A file that grows at its end. `data` begins with the root's offset (of `point_root`) and the identifier."""

    def __init__(self, identifier: bytes) -> None:
        self.data = bytearray(4) + identifier

    def point_root(self, table: Written) -> None:
        """Make `table` the file's root."""
        self.point(0, table.position)

    def point(self, slot: int, position: int) -> None:
        """Let the offset at `slot` point at `position`, which is behind it."""
        UINT32.pack_into(self.data, slot, position - slot)

    def table(self, fields: Mapping[int, Scalar | Pointer]) -> Written:
        """A table with these fields by id; the rest are absent. Fields of four bytes come first, so that all are aligned."""
        order = sorted(fields, key=lambda field: -_size(fields[field]))
        count = 1 + max(fields, default=-1)
        vtable_bytes = 4 + 2 * count
        # The table itself must be aligned to 4; its vtable stands right in front of it.
        self._pad_to(4, vtable_bytes)
        vtable = len(self.data)
        position = vtable + vtable_bytes
        offsets, end = {}, 4
        for field in order:
            offsets[field] = end
            end += _size(fields[field])
        header = [vtable_bytes, end, *(offsets.get(field, 0) for field in range(count))]
        self.data += b"".join(_UINT16.pack(word) for word in header)
        self.data += INT32.pack(vtable_bytes)
        slots = {}
        for field in order:
            entry = fields[field]
            if isinstance(entry, Scalar):
                self.data += entry.kind.pack(entry.value)
            else:
                slots[field] = len(self.data)
                self.data += bytes(4)
        return Written(position, slots)

    def pointers(self, count: int) -> Written:
        """A vector of `count` offsets."""
        self._pad_to(4)
        position = len(self.data)
        self.data += UINT32.pack(count) + bytes(4 * count)
        return Written(position, {i: position + 4 + 4 * i for i in range(count)})

    def text(self, text: str) -> int:
        """A string; its position."""
        self._pad_to(4)
        position = len(self.data)
        raw = text.encode("utf-8", "replace")
        self.data += UINT32.pack(len(raw)) + raw + b"\0"
        return position

    def reals(self, values: Sequence[float]) -> int:
        """A vector of float32; its position."""
        self._pad_to(4)
        position = len(self.data)
        self.data += UINT32.pack(len(values)) + np.asarray(values, "<f4").tobytes()
        return position

    def blob(self, data: bytes, alignment: int) -> int:
        """A vector of bytes whose first one is aligned; its position."""
        self._pad_to(alignment, 4)
        position = len(self.data)
        self.data += UINT32.pack(len(data)) + data
        return position

    def align(self, alignment: int) -> None:
        """Zeros up to the next multiple of `alignment`."""
        self._pad_to(alignment)

    def _pad_to(self, alignment: int, ahead: int = 0) -> None:
        """Zeros, so that the byte `ahead` bytes further on is aligned."""
        self.data += bytes(-(len(self.data) + ahead) % alignment)


def _size(entry: Scalar | Pointer) -> int:
    return entry.kind.size if isinstance(entry, Scalar) else 4
