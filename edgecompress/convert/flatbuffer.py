"""FlatBuffers as untrusted bytes: every offset, length and size is checked before it is believed.

The `flatbuffers` package has no verifier for Python: its accessors follow any offset, and a spoiled file ends in IndexError, struct.error,
a negative slice, or a loop over four thousand million entries. This reader knows only what a .tflite needs (tables, scalars, vectors,
strings) and answers every irregularity with a ModelError. Layout: https://flatbuffers.dev/internals/

    table:   int32 distance back to its vtable, then the fields
    vtable:  uint16 its own size, uint16 the table's size, then one uint16 offset per field (0: the field is absent)
    vector:  uint32 count, then the elements; offsets to tables and vectors are uint32, forwards from where they stand

Two things keep a small file from becoming a lot of memory: nothing is allocated for a length before the length was seen to fit the file,
and what is turned into Python objects is paid from a budget per file, so that a thousand entries cannot share one long vector.
"""

from __future__ import annotations

from struct import Struct

import numpy as np

from edgecompress.errors import ModelError

INT8, UINT8, INT32, UINT32, UINT64 = (Struct("<" + code) for code in "bBiIQ")
_UINT16 = Struct("<H")
_FLOAT32 = Struct("<f")

# Bytes of metadata (all but the constants' data) that a file may hold; as Python objects they take about ten times as much.
_METADATA_BYTES = 4 * 1024 * 1024
# What a table is charged: the objects made from one take about a kilobyte.
_TABLE_BYTES = 128
_LONGEST_TEXT = 512

DAMAGED = "the file is damaged or cut off: copy it again, or export the model again"

# Characters that may stand in a report, a terminal or a C comment; a `?` could begin a trigraph.
_SAFE = frozenset(chr(c) for c in range(32, 127)) - frozenset('\\"?')


class FlatFile:
    """The bytes of one file and its name for messages."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self._metadata_left = _METADATA_BYTES

    def root(self) -> Table:
        """The table that the file's first word points at."""
        return self.table_at(0, "the model")

    def table_at(self, position: int, where: str) -> Table:
        """The table that the offset stored at `position` points at."""
        return Table(self, self.follow(position, where), where)

    def follow(self, position: int, where: str) -> int:
        """Where the uint32 offset stored at `position` points."""
        offset: int = self.unpack(UINT32, position, where)
        if offset == 0:
            raise self.damaged(f"{where} has an offset of 0")
        return position + offset

    def unpack(self, kind: Struct, position: int, where: str) -> int:
        """The integer at `position`, which must be aligned to its size."""
        self.require(position, kind.size, kind.size, where)
        value: int = kind.unpack_from(self.data, position)[0]
        return value

    def require(self, position: int, size: int, alignment: int, where: str) -> None:
        """Fail unless `size` bytes at `position` are inside the file and aligned."""
        if position < 0 or position + size > len(self.data):
            raise self.damaged(f"{where} reaches to byte {position + size}, but the file has {len(self.data)}")
        if position % alignment:
            raise self.damaged(f"{where} stands at byte {position}, which is not a multiple of {alignment}")

    def charge(self, size: int) -> None:
        """Pay for `size` bytes that become Python objects."""
        self._metadata_left -= size
        if self._metadata_left < 0:
            raise self.damaged(f"more than {_METADATA_BYTES} bytes of tables and lists besides the weights")

    def damaged(self, what: str) -> ModelError:
        return ModelError(f"{self.name}: not a whole .tflite file: {what}", hint=DAMAGED)


class Table:
    """One table; `where` names it in messages. Fields are addressed by their id in the schema, and read as their default when absent."""

    __slots__ = ("_bytes", "_file", "_vtable", "_vtable_bytes", "position", "where")

    def __init__(self, file: FlatFile, position: int, where: str) -> None:
        file.charge(_TABLE_BYTES)
        vtable = position - file.unpack(INT32, position, where)
        vtable_bytes = file.unpack(_UINT16, vtable, where)
        table_bytes = file.unpack(_UINT16, vtable + 2, where)
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise file.damaged(f"{where} has a header of {vtable_bytes} and fields of {table_bytes} bytes")
        file.require(vtable, vtable_bytes, 2, where)
        file.require(position, table_bytes, 4, where)
        self.where = where
        self._file = file
        self.position = position
        self._bytes = table_bytes
        self._vtable = vtable
        self._vtable_bytes = vtable_bytes

    def integer(self, field: int, kind: Struct, default: int = 0) -> int:
        """A whole number."""
        position = self._find(field, kind.size)
        return default if position is None else self._file.unpack(kind, position, self.where)

    def flag(self, field: int) -> bool:
        """A bool, false by default."""
        return self.integer(field, UINT8) != 0

    def real(self, field: int) -> float:
        """A float32, 0 by default; it may be infinite or no number."""
        position = self._find(field, _FLOAT32.size)
        if position is None:
            return 0.0
        self._file.require(position, _FLOAT32.size, 4, self.where)
        value: float = _FLOAT32.unpack_from(self._file.data, position)[0]
        return value

    def child(self, field: int, where: str) -> Table | None:
        """The table that a field points at."""
        position = self._find(field, 4)
        return None if position is None else self._file.table_at(position, where)

    def children(self, field: int, where: str) -> list[Table]:
        """The tables of a vector, each named `where` and its number."""
        start, count = self._vector(field, 4, where)
        self._file.charge(count * _TABLE_BYTES)
        return [self._file.table_at(start + 4 * i, f"{where} {i}") for i in range(count)]

    def integers(self, field: int, dtype: str, what: str) -> tuple[int, ...]:
        """A vector of whole numbers; empty when absent."""
        return tuple(self._numbers(field, dtype, what).tolist())

    def reals(self, field: int, what: str) -> tuple[float, ...]:
        """A vector of float32; empty when absent."""
        return tuple(self._numbers(field, "<f4", what).tolist())

    def span(self, field: int, what: str) -> tuple[int, int]:
        """First byte and size of a vector of bytes; (0, 0) when absent."""
        return self._vector(field, 1, f"{what} of {self.where}")

    def text(self, field: int, what: str) -> str:
        """A name, at most 512 characters, printable ASCII only: it may stand in a report or a C comment as it is."""
        start, count = self.span(field, what)
        count = min(count, _LONGEST_TEXT)
        self._file.charge(count)
        text = self._file.data[start : start + count].decode("ascii", errors="replace")
        return "".join(c if c in _SAFE else "_" for c in text).replace("*/", "*_").replace("/*", "_*")

    def unicode_text(self, field: int, what: str, longest: int) -> str:
        """A text in any language, cut off at `longest` bytes. It may hold every character: it is no text for source code."""
        start, count = self.span(field, what)
        count = min(count, longest)
        self._file.charge(count)
        return self._file.data[start : start + count].decode("utf-8", errors="replace")

    def target(self, field: int, what: str) -> int | None:
        """The byte that the offset in a field points at; None when the field is absent."""
        position = self._find(field, 4)
        if position is None:
            return None
        target = self._file.follow(position, f"{what} of {self.where}")
        self._file.require(target, 4, 4, f"{what} of {self.where}")
        return target

    def present(self) -> list[int]:
        """Ids of the fields that are there."""
        count = (self._vtable_bytes - 4) // 2
        return [field for field in range(count) if self._find(field, 1) is not None]

    def _numbers(self, field: int, dtype: str, what: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        kind = np.dtype(dtype)
        start, count = self._vector(field, kind.itemsize, f"{what} of {self.where}")
        self._file.charge(count * kind.itemsize)
        return np.frombuffer(self._file.data, kind, count, start)

    def _vector(self, field: int, element_bytes: int, where: str) -> tuple[int, int]:
        """Position of the first element and how many there are."""
        position = self._find(field, 4)
        if position is None:
            return 0, 0
        start = self._file.follow(position, where)
        count = self._file.unpack(UINT32, start, where)
        self._file.require(start + 4, count * element_bytes, element_bytes if count else 1, where)
        return start + 4, count

    def _find(self, field: int, size: int) -> int | None:
        """Where a field of `size` bytes stands; None when it is absent."""
        entry = 4 + 2 * field
        if entry + 2 > self._vtable_bytes:
            return None
        offset = self._file.unpack(_UINT16, self._vtable + entry, self.where)
        if offset == 0:
            return None
        if offset < 4 or offset + size > self._bytes:
            raise self._file.damaged(f"field {field} of {self.where} stands outside of its table")
        return self.position + offset
