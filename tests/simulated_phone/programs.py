"""The smallest executables there are: they write `hello` and exit with 5, each for one processor, without a compiler.

An ELF header, one program header, and some instructions: write(1, text, 6), then exit(5).
"""

from __future__ import annotations

import struct

TEXT = b"hello\n"
EXIT_CODE = 5
_BASE = 0x10000

_AARCH64 = struct.pack("<8I", 0xD2800020, 0x100000E1, 0xD28000C2, 0xD2800808, 0xD4000001, 0xD28000A0, 0xD2800BA8, 0xD4000001)
_ARM = struct.pack("<8I", 0xE3A00001, 0xE28F1014, 0xE3A02006, 0xE3A07004, 0xEF000000, 0xE3A00005, 0xE3A07001, 0xEF000000)
_X86_64 = bytes.fromhex("b801000000 bf01000000 488d3513000000 ba06000000 0f05 b83c000000 bf05000000 0f05")

MACHINES = {"aarch64": (183, 8, _AARCH64), "arm": (40, 4, _ARM), "x86_64": (62, 8, _X86_64)}
"""By processor: its number in ELF, the bytes of a pointer, the instructions."""


def tiny_program(processor: str) -> bytes:
    """The executable for `aarch64`, `arm` or `x86_64`."""
    machine, pointer, code = MACHINES[processor]
    header_bytes = 64 + 56 if pointer == 8 else 52 + 32
    size, entry = header_bytes + len(code) + len(TEXT), _BASE + header_bytes
    identity = b"\x7fELF" + bytes([pointer // 4, 1, 1]) + bytes(9)
    if pointer == 8:
        head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    else:
        head = struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, entry, 52, 0, 0x05000000, 52, 32, 1, 0, 0, 0)
        segment = struct.pack("<IIIIIIII", 1, 0, _BASE, _BASE, size, size, 5, 0x1000)
    return identity + head + segment + code + TEXT
