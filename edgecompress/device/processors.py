"""For which processor a program is built, read from its ELF header: why it does not start somewhere, when nobody there says so.

ELF header: System V ABI, chapter 4; machine numbers: elf.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from pathlib import Path

_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
# What `uname -m` says, by the processors whose programs such a machine may run.
_RUNS = {
    "x86_64": {"x86", "x86_64"},
    "i386": {"x86"},
    "i686": {"x86"},
    "aarch64": {"arm", "aarch64"},
    "arm64": {"arm", "aarch64"},
    "armv8l": {"arm"},
    "armv7l": {"arm"},
    "armv6l": {"arm"},
    "riscv64": {"riscv64"},
}
_HEADER_BYTES = 20


def processor_of(program: Path) -> str | None:
    """The processor a program is built for; None for a script, another format, or a processor that we do not name.

    Raises:
        OSError: it cannot be read.
    """
    with program.open("rb") as stream:
        header = stream.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(b"\x7fELF"):
        return None
    order = "<" if header[5] == 1 else ">"
    machine: int = struct.unpack_from(f"{order}H", header, 18)[0]
    return _MACHINES.get(machine)


def is_foreign(processor: str | None, machine: str | None) -> bool:
    """Whether programs for `processor` cannot run on a machine of which `uname -m` says `machine`. What is unknown can."""
    return processor is not None and machine in _RUNS and processor not in _RUNS[machine]
