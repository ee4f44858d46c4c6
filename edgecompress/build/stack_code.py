"""The constant part of a firmware as code: instructions, the words of its tables, and whose they are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property

from edgecompress.build.thumb import Instruction, decode_narrow, instruction_bytes
from edgecompress.build.thumb_wide import decode_wide
from edgecompress.elf import Image, Segment, Symbol
from edgecompress.errors import EdgeCompressError

# Above every address.
_END = 1 << 32


class StackBoundError(EdgeCompressError):
    """How deep the stack gets cannot be told from the code: recursion, a call whose target is unknown, or a frame of unknown size."""


class Code:
    """The constant part of a firmware: instructions, constant words, and the names of both."""

    def __init__(self, image: Image) -> None:
        self._image = image
        # What is copied to RAM at start-up may change afterwards.
        self._segments = [segment for segment in image.segments if segment.data and segment.address == segment.load_address]
        self._marks = [address for address, _ in image.marks]
        self._decoded: dict[int, Instruction] = {}

    @cached_property
    def functions(self) -> Mapping[int, Symbol]:
        """Functions by address; of several names the one with a size."""
        return {symbol.address: symbol for symbol in self._image.symbols if symbol.function and self._segment(symbol.address)}

    @cached_property
    def _starts(self) -> list[int]:
        return sorted(self.functions)

    @cached_property
    def _homes(self) -> list[Symbol]:
        """Functions and sized objects, by address."""
        objects = [symbol for symbol in self._image.symbols if symbol.bytes and self._segment(symbol.address)]
        return sorted({symbol.address: symbol for symbol in [*self.functions.values(), *objects]}.values(), key=lambda s: s.address)

    @cached_property
    def _home_starts(self) -> list[int]:
        return [symbol.address for symbol in self._homes]

    def home(self, address: int) -> int | None:
        """Where the function or object that holds `address` begins; None outside all of them."""
        at = bisect_right(self._home_starts, address) - 1
        if at < 0:
            return None
        symbol = self._homes[at]
        end = self.extent(symbol.address)[1] if symbol.function else symbol.address + symbol.bytes
        return symbol.address if address < end else None

    def words(self, home: int) -> list[int]:
        """The words of a constant object; none of a function, which keeps no tables that are read word by word."""
        symbol = self._homes[bisect_right(self._home_starts, home) - 1]
        size = 0 if symbol.function else symbol.bytes
        return [word for offset in range(0, size - 3, 4) if (word := self.word(home + offset)) is not None]

    def extent(self, address: int) -> tuple[int, int]:
        """The function around `address`: where it begins and ends. One without a size reaches to the next."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return address, address
        start = self._starts[at]
        size = self.functions[start].bytes
        following = self._starts[at + 1] if at + 1 < len(self._starts) else _END
        segment = self._segment(start)
        limit = following if segment is None else min(following, segment.address + len(segment.data))
        return start, start + size if size else limit

    def word(self, address: int) -> int | None:
        """A constant word; None where none is."""
        segment = self._segment(address)
        if segment is None or address + 4 > segment.address + len(segment.data) or address % 4:
            return None
        return int.from_bytes(segment.data[address - segment.address :][:4], "little")

    def byte(self, address: int) -> int | None:
        segment = self._segment(address)
        return None if segment is None else segment.data[address - segment.address]

    def is_data(self, address: int) -> bool:
        """What the compiler marks as data, such as a literal pool; or no constant memory at all."""
        at = bisect_right(self._marks, address) - 1
        return self._segment(address) is None or (at >= 0 and not self._image.marks[at][1])

    def next_mark(self, address: int) -> int | None:
        """The first address behind `address` where data turns into code or the other way round."""
        at = bisect_right(self._marks, address)
        return self._marks[at] if at < len(self._marks) else None

    def instruction(self, address: int) -> Instruction:
        """The instruction at an address.

        Raises:
            StackBoundError: there is none.
        """
        found = self._decoded.get(address)
        if found is None:
            found = self._decoded[address] = self._decode(address)
        return found

    def _decode(self, address: int) -> Instruction:
        segment = self._segment(address)
        if segment is None or self.is_data(address):
            raise StackBoundError("the code runs into data")
        at = address - segment.address
        first, second = (int.from_bytes(segment.data[at + offset :][:2], "little") for offset in (0, 2))
        return decode_narrow(first, address) if instruction_bytes(first) == 2 else decode_wide(first, second, address)

    def name(self, address: int) -> str:
        """For messages: the function, with the offset in it."""
        return self._image.describe(address)

    def _segment(self, address: int) -> Segment | None:
        return next((segment for segment in self._segments if 0 <= address - segment.address < len(segment.data)), None)
