"""The files that travel behind a model: a .tflite with associated files is also a ZIP archive, whose entries are stored, not compressed.

Written by Python's zipfile with a fixed date, so that equal input gives equal bytes. Read by the few lines below: the archive is untrusted,
and every offset and size in it is checked before it is believed. Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from edgecompress.errors import ModelError

# Label files have kilobytes. More entries or bytes than these are not read.
MOST_FILES = 256
MOST_BYTES = 4 * 1024 * 1024

_END = Struct("<4s4H2IH")
_ENTRY = Struct("<4s6H3I5H2I")
_LOCAL = Struct("<4s5H3I2H")
_END_MARK, _ENTRY_MARK, _LOCAL_MARK = b"PK\5\6", b"PK\1\2", b"PK\3\4"
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_LONGEST_COMMENT = 0xFFFF
# The earliest date that the format can hold.
_DATE = (1980, 1, 1, 0, 0, 0)
_HINT = "write the metadata again, or read the model without its files"


@dataclass(frozen=True)
class Archive:
    """What was found behind a model: the first byte that belongs to the archive, and its files."""

    start: int
    files: Mapping[str, bytes]


def append_files(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """The model with `files` behind it; the model itself when there are none."""
    if not files:
        return model
    whole = io.BytesIO(model)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return whole.getvalue()


def read_archive(model: bytes) -> Archive | None:
    """The archive behind a model; None when nothing there looks like one.

    Raises:
        ModelError: it is damaged, encrypted, or larger than MOST_FILES and MOST_BYTES.
    """
    end = _find_end(model)
    if end is None:
        return None
    _, _, _, _, count, directory_bytes, directory, _ = _END.unpack_from(model, end)
    if count > MOST_FILES or directory + directory_bytes > end:
        raise _damaged(f"its list has {count} files in {directory_bytes} bytes at byte {directory}")
    files: dict[str, bytes] = {}
    start, position, left = directory, directory, MOST_BYTES
    for _ in range(count):
        name, local, data, position = _read_entry(model, position, end, left)
        start, left = min(start, local), left - len(data)
        files[name] = data
    return Archive(start, files)


def _find_end(model: bytes) -> int | None:
    """Where the record stands that ends an archive: its comment reaches exactly to the end of the file."""
    first = max(0, len(model) - _END.size - _LONGEST_COMMENT)
    position = model.rfind(_END_MARK, first)
    while position >= 0:
        if position + _END.size <= len(model) and position + _END.size + _END.unpack_from(model, position)[-1] == len(model):
            return position
        position = model.rfind(_END_MARK, first, position)
    return None


def _read_entry(model: bytes, position: int, end: int, left: int) -> tuple[str, int, bytes, int]:
    """A file's name, where it begins, its bytes, and where the next entry stands."""
    if position + _ENTRY.size > end:
        raise _damaged("its list of files is cut off")
    entry = _ENTRY.unpack_from(model, position)
    flags, method, crc, packed_bytes, size, name_bytes, extra_bytes, comment_bytes = *entry[3:5], *entry[7:13]
    local, following = entry[16], position + _ENTRY.size + name_bytes + extra_bytes + comment_bytes
    if entry[0] != _ENTRY_MARK or following > end:
        raise _damaged("its list of files is cut off")
    raw_name = model[position + _ENTRY.size : position + _ENTRY.size + name_bytes]
    if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED) or size > left:
        raise _damaged(f"{_shown(raw_name)} is encrypted, packed in an unknown way, or has more than {left:,} bytes ({size:,})")
    data = _unpack(_packed(model, local, packed_bytes, end, raw_name), method, size)
    if len(data) != size or zlib.crc32(data) != crc:
        raise _damaged(f"{_shown(raw_name)} does not have the bytes that its checksum was made of")
    return raw_name.decode("utf-8", "replace"), local, data, following


def _packed(model: bytes, local: int, size: int, end: int, raw_name: bytes) -> bytes:
    if local + _LOCAL.size > end or model[local : local + 4] != _LOCAL_MARK:
        raise _damaged(f"{_shown(raw_name)} is not where the list says")
    header = _LOCAL.unpack_from(model, local)
    start = local + _LOCAL.size + header[-2] + header[-1]
    if start + size > end:
        raise _damaged(f"{_shown(raw_name)} is cut off")
    return model[start : start + size]


def _unpack(packed: bytes, method: int, size: int) -> bytes:
    """The file's bytes, at most one more than `size`."""
    if method == _STORED:
        return packed
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
    except zlib.error as e:
        raise _damaged("a packed file cannot be unpacked") from e


def _shown(raw_name: bytes) -> str:
    return repr(raw_name[:80].decode("utf-8", "replace"))


def _damaged(what: str) -> ModelError:
    return ModelError(f"the files behind the model cannot be read: {what}", hint=_HINT)
