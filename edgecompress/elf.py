"""A linked firmware as bytes and addresses: what is loaded where, and which symbol an address belongs to.

The file is untrusted: every offset and size is checked before it is believed, and what is wrong with it is one sentence. (The tests compare
the sizes with pyelftools, which answers damaged files with whatever exception comes first.)
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompress.errors import ModelError

# The largest firmware file that is read, debug information included.
MAX_FILE_BYTES = 64 << 20


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD entry: `data` goes to `load_address`; at run time it is at `address` with `memory_bytes`, the rest zeroed or left alone."""

    address: int
    load_address: int
    data: bytes
    memory_bytes: int


@dataclass(frozen=True)
class Section:
    """A section by name. `loaded` is True when its bytes are in the image (not .bss, not debug information)."""

    address: int
    bytes: int
    loaded: bool


@dataclass(frozen=True)
class Symbol:
    """A function or object; a function's address is without the Thumb bit. Labels of assembly code are no functions unless marked so."""

    name: str
    address: int
    bytes: int
    function: bool = False


@dataclass(frozen=True)
class Image:
    """A 32-bit little-endian Arm ELF file.

    Attributes:
        marks: addresses from which on there are instructions (True) or data (False), ascending: the mapping symbols $t and $d.
    """

    entry: int
    segments: tuple[Segment, ...]
    sections: Mapping[str, Section]
    symbols: tuple[Symbol, ...]
    manifest: bytes | None
    marks: tuple[tuple[int, bool], ...] = ()

    @property
    def loadable_bytes(self) -> int:
        """The file bytes of all PT_LOAD segments: what flash must hold."""
        return sum(len(segment.data) for segment in self.segments)

    def section_bytes(self, name: str) -> int:
        """The size of a section; 0 when there is none."""
        section = self.sections.get(name)
        return section.bytes if section else 0

    def symbol(self, name: str) -> int:
        """The address of a symbol.

        Raises:
            ModelError: there is none of that name.
        """
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol.address
        raise ModelError(f"the firmware has no symbol {name}", hint="build it again with edgecompress build")

    def describe(self, address: int) -> str:
        """`ec_add_s8+0x1c`, or the bare address when no symbol holds it."""
        at = bisect_right(self.symbols, address, key=lambda symbol: symbol.address) - 1
        if at < 0 or address >= self.symbols[at].address + max(self.symbols[at].bytes, 1):
            return f"{address:#010x}"
        offset = address - self.symbols[at].address
        return f"{self.symbols[at].name}+{offset:#x}" if offset else self.symbols[at].name

    def symbols_within(self, section: str) -> list[Symbol]:
        """The symbols of a section."""
        where = self.sections.get(section)
        if where is None:
            return []
        return [symbol for symbol in self.symbols if where.address <= symbol.address < where.address + where.bytes]


def read_elf(path: Path) -> Image:
    """Read a firmware's ELF file.

    Raises:
        ModelError: it is missing, no ELF file, cut short, damaged, or not for a 32-bit Arm core.
    """
    hint = "give a firmware.elf that edgecompress build wrote"
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{path}: has {path.stat().st_size:,} bytes; a firmware has at most {MAX_FILE_BYTES:,}", hint=hint)
        data = path.read_bytes()
    except OSError as e:
        raise ModelError(f"{path}: cannot be read: {e.strerror}", hint=hint) from e
    if data[:4] != b"\x7fELF":
        raise ModelError(f"{path}: is not an ELF file", hint=hint)
    try:
        return _parse(data)
    except _DamagedError as e:
        raise ModelError(f"{path}: is a damaged ELF file: {e}", hint=hint) from e


class _DamagedError(Exception):
    """A sentence about what does not fit in the file."""


_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM = struct.Struct("<8I")
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_EM_ARM, _PT_LOAD, _SHT_SYMTAB, _SHT_NOBITS, _SHF_ALLOC = 40, 1, 2, 8, 2
_STT_OBJECT, _STT_FUNC, _STT_NOTYPE = 1, 2, 0


def _parse(data: bytes) -> Image:
    if len(data) < _HEADER.size:
        raise _DamagedError("its header is cut short")
    ident, _, machine, _, entry, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx = _HEADER.unpack_from(data)
    if ident[4] != 1 or ident[5] != 1 or machine != _EM_ARM:
        raise _DamagedError("it is not for a 32-bit little-endian Arm core")
    if (phnum and phentsize != _PROGRAM.size) or (shnum and shentsize != _SECTION.size):
        raise _DamagedError("its tables have entries of an unknown size")
    headers = list(_SECTION.iter_unpack(_slice(data, shoff, shnum * _SECTION.size, "section headers")))
    if shstrndx >= len(headers):
        raise _DamagedError("it has no section names")
    names = _slice(data, headers[shstrndx][4], headers[shstrndx][5], "section names")
    sections: dict[str, Section] = {}
    symbols: list[Symbol] = []
    marks: list[tuple[int, bool]] = []
    manifest = None
    for name_at, kind, flags, address, offset, size, link, _, _, _ in headers:
        name = _string(names, name_at)
        allocated = bool(flags & _SHF_ALLOC)
        if name:
            sections[name] = Section(address, size, loaded=allocated and kind != _SHT_NOBITS)
        if kind == _SHT_SYMTAB:
            if link >= len(headers):
                raise _DamagedError("its symbols have no names")
            strings = _slice(data, headers[link][4], headers[link][5], "symbol names")
            table = _slice(data, offset, size, "symbols")
            symbols += _symbols(table, strings)
            marks += _marks(table, strings, [bool(header[2] & _SHF_ALLOC) for header in headers])
        if name == ".ec_manifest" and kind != _SHT_NOBITS:
            manifest = _slice(data, offset, size, "manifest")
    segments = tuple(
        Segment(address, load_address, _slice(data, offset, file_bytes, "segment"), memory_bytes)
        for kind, offset, address, load_address, file_bytes, memory_bytes, _, _ in _PROGRAM.iter_unpack(
            _slice(data, phoff, phnum * _PROGRAM.size, "program headers")
        )
        if kind == _PT_LOAD
    )
    by_address = tuple(sorted(symbols, key=lambda symbol: (symbol.address, symbol.bytes)))
    return Image(entry, segments, sections, by_address, manifest, tuple(sorted(dict(marks).items())))


def _symbols(table: bytes, strings: bytes) -> list[Symbol]:
    """Functions and objects; mapping symbols ($t, $d) and absolute ones are left out."""
    if len(table) % _SYMBOL.size:
        raise _DamagedError("its symbol table has half an entry")
    found = []
    for name_at, value, size, info, _, section in _SYMBOL.iter_unpack(table):
        kind = info & 0xF
        name = _string(strings, name_at)
        if section in (0, 0xFFF1) or kind not in (_STT_NOTYPE, _STT_OBJECT, _STT_FUNC) or not name or name.startswith("$"):
            continue
        function = kind == _STT_FUNC
        found.append(Symbol(name, value & ~1 if function else value, size, function))
    return found


def _marks(table: bytes, strings: bytes, allocated: Sequence[bool]) -> list[tuple[int, bool]]:
    """Mapping symbols (ELF for the Arm Architecture, IHI 0044, 5.5.5) of sections in memory; debug information has some of its own."""
    found = []
    for name_at, value, _, _, _, section in _SYMBOL.iter_unpack(table):
        in_memory = section < len(allocated) and allocated[section]
        if in_memory and strings[name_at : name_at + 2] in (b"$t", b"$d", b"$a"):
            found.append((value & ~1, strings[name_at + 1] != ord("d")))
    return found


def _slice(data: bytes, offset: int, size: int, what: str) -> bytes:
    if offset + size > len(data):
        raise _DamagedError(f"its {what} end at byte {offset + size:,}, but the file has {len(data):,}")
    return data[offset : offset + size]


def _string(table: bytes, offset: int) -> str:
    end = table.find(b"\0", offset)
    if offset >= len(table) or end < 0:
        raise _DamagedError("a name lies outside its table")
    return table[offset:end].decode("utf-8", "replace")
