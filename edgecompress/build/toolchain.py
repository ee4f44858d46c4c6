"""Compilers that build for Cortex-M: zig's clang, which comes with the package, or arm-none-eabi-gcc.

A toolchain compiles one object at a time and links them; which flags a core needs is `cortex_m`'s business.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgecompress.errors import ToolError, UserError
from edgecompress.tools import find_zig, run_tool


class Toolchain(Enum):
    """The compilers that the build knows."""

    ZIG = "zig"
    GCC = "gcc"


ZIG = Toolchain.ZIG
GCC = Toolchain.GCC


@dataclass(frozen=True)
class Compiler:
    """A toolchain found on this machine.

    Attributes:
        command: the words that start the compiler driver.
        folder: where it is installed; no path in it reaches what is built.
        version: for reports: name and version.
    """

    kind: Toolchain
    command: tuple[str, ...]
    folder: Path
    version: str
    environment: Mapping[str, str]


def find_toolchain(name: str) -> Toolchain:
    """The toolchain called `name`.

    Raises:
        UserError: there is none of that name.
    """
    try:
        return Toolchain(name)
    except ValueError as e:
        known = " or ".join(toolchain.value for toolchain in Toolchain)
        raise UserError(f"there is no toolchain called {name!r}", hint=f"choose {known}") from e


def locate(toolchain: Toolchain) -> Compiler:
    """Find the toolchain's program.

    Raises:
        ToolError: it is not installed; the hint says how to get it.
    """
    return _locate_zig() if toolchain is Toolchain.ZIG else _locate_gcc()


def _locate_zig() -> Compiler:
    zig = find_zig()
    return Compiler(Toolchain.ZIG, (str(zig.program), "cc"), zig.program.parent, f"zig {zig.version}", zig.environment)


def _locate_gcc() -> Compiler:
    program = shutil.which("arm-none-eabi-gcc")
    if program is None:
        raise ToolError(
            "arm-none-eabi-gcc is not on PATH", hint="install it with: apt install gcc-arm-none-eabi, or build with --toolchain zig"
        )
    version = run_tool((program, "-dumpfullversion"), cwd=Path.cwd(), environment={}).strip()
    return Compiler(Toolchain.GCC, (program,), Path(program).parent, f"gcc {version}", {})
