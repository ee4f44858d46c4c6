"""What a linked Linux program weighs, by section: just enough of ELF for both word sizes (System V ABI, chapter 4).

Only programs that this process has linked a moment ago are read; `edgecompress.elf` is the reader for files that come from elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecompress.errors import ModelError

# e_shoff, then e_shentsize, e_shnum and e_shstrndx, by class; the fields of a section header that count, by class.
_OFFSET = {1: (32, "<I", 46), 2: (40, "<Q", 58)}
_SECTION = {1: struct.Struct("<10I"), 2: struct.Struct("<2I4Q2I2Q")}
_SHT_NOBITS, _SHF_ALLOC = 8, 2


@dataclass(frozen=True)
class Sections:
    """Sizes of the sections that are in memory at run time. `stored_bytes` is what of them the file holds."""

    sizes: Mapping[str, int]
    stored_bytes: int

    def of(self, name: str) -> int:
        """The size of a section; 0 when there is none."""
        return self.sizes.get(name, 0)


def read_program_sections(path: Path) -> Sections:
    """The sections of a little-endian ELF program.

    Raises:
        ModelError: it is none, or cut short.
    """
    try:
        return _parse(path.read_bytes())
    except (OSError, struct.error, KeyError, IndexError, ValueError) as e:
        raise ModelError(f"{path}: is no ELF program that can be read: {e}", hint="build it again") from e


def _parse(data: bytes) -> Sections:
    if data[:4] != b"\x7fELF" or data[5] != 1:
        raise ValueError("expected a little-endian ELF file")
    at, form, counts_at = _OFFSET[data[4]]
    (headers_at,) = struct.unpack_from(form, data, at)
    entry_bytes, count, names_index = struct.unpack_from("<3H", data, counts_at)
    header = _SECTION[data[4]]
    if entry_bytes != header.size:
        raise ValueError(f"expected section headers of {header.size} bytes, came {entry_bytes}")
    headers = [header.unpack_from(data, headers_at + n * entry_bytes) for n in range(count)]
    names_at = headers[names_index][4]
    sizes: dict[str, int] = {}
    stored = 0
    for name_at, kind, flags, _, _, size, *_ in headers:
        if not flags & _SHF_ALLOC:
            continue
        start = names_at + name_at
        name = data[start : data.index(b"\0", start)].decode("ascii", "replace")
        sizes[name] = sizes.get(name, 0) + size
        stored += 0 if kind == _SHT_NOBITS else size
    return Sections(sizes, stored)
