"""The checked FlatBuffers reader: hand-made bytes, right ones and each kind of wrong one."""

import struct

import numpy as np
import pytest

from edgecompress.convert.flatbuffer import INT32, UINT8, FlatFile
from edgecompress.errors import ModelError


def make_file(fields: bytes = struct.pack("<ii", -5, 9), offsets: tuple[int, ...] = (4, 8), tail: bytes = b"") -> bytearray:
    """A root offset, a vtable at 4, the root table behind it with `fields` after its first word, then `tail`."""
    vtable = struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), 4 + len(fields), *offsets)
    vtable += bytes(-len(vtable) % 4)
    table = 4 + len(vtable)
    return bytearray(struct.pack("<I", table) + vtable + struct.pack("<i", len(vtable)) + fields + tail)


def root(data: bytes | bytearray):
    return FlatFile("m.tflite", bytes(data)).root()


def with_vector(count: int, elements: bytes) -> bytearray:
    """A root table whose field 0 is a vector right behind it."""
    return make_file(struct.pack("<I", 4), (4,), struct.pack("<I", count) + elements)


def test_reads_scalars_and_defaults():
    """A field that is there is read, one that is not has its default."""
    table = root(make_file())
    assert table.integer(0, INT32) == -5
    assert table.integer(1, INT32, 7) == 9
    assert table.integer(2, INT32, 7) == 7
    assert table.integer(60000, INT32, 7) == 7
    assert table.real(5) == 0.0
    assert not table.flag(5)
    assert table.child(5, "x") is None
    assert table.children(5, "x") == []
    assert table.text(5, "x") == ""


def test_reads_vectors_and_text():
    """Vectors of numbers, of bytes and texts come out as they were stored."""
    assert root(with_vector(2, struct.pack("<ii", -1, 640))).integers(0, "<i4", "x") == (-1, 640)
    assert root(with_vector(1, struct.pack("<f", 0.5))).reals(0, "x") == (0.5,)
    data = with_vector(3, b"abc\0")
    start, count = root(data).span(0, "x")
    assert data[start : start + count] == b"abc"
    assert root(data).text(0, "x") == "abc"


def test_text_is_safe_in_a_c_comment_and_a_terminal():
    """Control characters, quotes, backslashes, trigraphs and comment marks never leave the reader."""
    raw = b'a\n\x1b[31m"\\??/*x*/\xc3\xa9'
    text = root(with_vector(len(raw), raw)).text(0, "x")
    assert text.isascii() and text.isprintable()
    for bad in ("\\", '"', "?", "/*", "*/"):
        assert bad not in text


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="no root"),
        pytest.param(struct.pack("<I", 0), id="root offset 0"),
        pytest.param(struct.pack("<I", 0xFFFFFFFC), id="root behind the end"),
        pytest.param(make_file()[:13], id="table cut off"),
        pytest.param(struct.pack("<Ii", 4, 2**31 - 1), id="vtable before the file"),
        pytest.param(struct.pack("<Ii", 4, -(2**31)), id="vtable behind the file"),
        pytest.param(struct.pack("<IHHi", 8, 3, 4, 4), id="odd vtable"),
        pytest.param(struct.pack("<IHHi", 8, 2, 4, 4), id="vtable without a header"),
        pytest.param(struct.pack("<IHHi", 8, 4, 400, 4), id="fields behind the end"),
        pytest.param(struct.pack("<IHHi", 8, 400, 4, 4), id="long vtable"),
        pytest.param(b"\6\0\0\0" + bytes(20), id="unaligned table"),
    ],
)
def test_damaged_tables_are_errors(data):
    """A table that is not wholly in the file is a ModelError that says so, with a hint."""
    with pytest.raises(ModelError, match=r"m\.tflite: not a whole \.tflite file") as caught:
        root(data)
    assert caught.value.hint


@pytest.mark.parametrize("offset", [1, 3, 9, 10, 12, 65535])
def test_a_field_outside_of_its_table_is_an_error(offset):
    """A field must lie within the size that the table has by its own account."""
    with pytest.raises(ModelError, match="field 0"):
        root(make_file(offsets=(offset, 8))).integer(0, INT32)


@pytest.mark.parametrize("count", [3, 2**16, 2**30, 2**31, 2**32 - 1])
def test_a_vector_longer_than_the_file_is_an_error(count):
    """The length of a vector is compared with the file before anything is allocated."""
    table = root(with_vector(count, struct.pack("<ii", 1, 2)))
    for read in (lambda: table.integers(0, "<i4", "x"), lambda: table.children(0, "x"), lambda: table.reals(0, "x")):
        with pytest.raises(ModelError):
            read()


def test_an_offset_of_zero_is_an_error():
    """A vector or table that would stand on its own offset is refused."""
    data = make_file(struct.pack("<I", 0), (4,))
    for read in (lambda t: t.integers(0, "<i4", "x"), lambda t: t.child(0, "x")):
        with pytest.raises(ModelError, match="offset of 0"):
            read(root(data))


def test_unaligned_numbers_are_an_error():
    """A core that cannot read unaligned words must never get such a file."""
    data = make_file(struct.pack("<I", 6), (4,), struct.pack("<HI", 0, 1) + bytes(8))
    with pytest.raises(ModelError, match="multiple of 4"):
        root(data).integers(0, "<i4", "x")


def test_entries_that_share_one_table_are_paid_each():
    """Half a million offsets to one table do not become half a million objects."""
    count = 500_000
    table = 4 * count
    elements = b"".join(struct.pack("<I", table - 4 * i) for i in range(count))
    shared = struct.pack("<i", 4) + struct.pack("<HH", 4, 4)
    data = with_vector(count, elements + struct.pack("<HH", 4, 4) + struct.pack("<i", 4) + shared)
    with pytest.raises(ModelError, match="more than"):
        root(data).children(0, "x")


def test_a_long_vector_can_be_read_only_so_often():
    """Reading one long list again and again ends at the budget of the file."""
    data = with_vector(100_000, np.zeros(100_000, np.int32).tobytes())
    table = root(data)
    for _ in range(10):
        table.integers(0, "<i4", "x")
    with pytest.raises(ModelError, match="more than"):
        table.integers(0, "<i4", "x")


def test_bytes_are_integers_too():
    """One-byte fields are read without touching their neighbours."""
    table = root(make_file(bytes([200, 1, 0, 0]), (4, 5)))
    assert table.integer(0, UINT8) == 200
    assert table.flag(1)
