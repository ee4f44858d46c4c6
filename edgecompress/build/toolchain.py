"""Compilers that build for Cortex-M: zig's clang, which comes with the package, or arm-none-eabi-gcc.

A toolchain compiles one object at a time and links them; which flags a core needs is `cortex_m`'s business.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgecompress.errors import OutputError, ToolError, UserError

# The first link for a core builds the compiler's run-time library: 5 to 60 s by machine and load.
TOOL_TIMEOUT_S = 600
_SHOWN_LINES = 12


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


def cache_dir() -> Path:
    """Where things that any build may use again are kept: $XDG_CACHE_HOME/edgecompress, or ~/.cache/edgecompress."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "edgecompress"


def _locate_zig() -> Compiler:
    hint = "install it with: pip install ziglang"
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError("the zig compiler is not installed (Python package ziglang)", hint=hint)
    folder = Path(next(iter(spec.submodule_search_locations)))
    program = next((path for path in (folder / "zig", folder / "zig.exe") if path.is_file()), None)
    if program is None:
        raise ToolError(f"the package ziglang in {folder} has no zig program", hint=hint)
    cache = cache_dir() / "zig"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"{cache}: cannot be written: {e.strerror}", hint="set XDG_CACHE_HOME to a folder that you may write to") from e
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
    return Compiler(Toolchain.ZIG, (str(program), "cc"), folder, f"zig {importlib.metadata.version('ziglang')}", environment)


def _locate_gcc() -> Compiler:
    program = shutil.which("arm-none-eabi-gcc")
    if program is None:
        raise ToolError(
            "arm-none-eabi-gcc is not on PATH", hint="install it with: apt install gcc-arm-none-eabi, or build with --toolchain zig"
        )
    version = run_tool((program, "-dumpfullversion"), cwd=Path.cwd(), environment={}).strip()
    return Compiler(Toolchain.GCC, (program,), Path(program).parent, f"gcc {version}", {})


def run_tool(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> str:
    """Run a program to its end and give its standard output.

    Raises:
        ToolError: it is missing, fails, or takes longer than TOOL_TIMEOUT_S; with the command and the last lines of what it said.
    """
    shown = " ".join((Path(command[0]).name, *command[1:]))
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TOOL_TIMEOUT_S,
            check=False,
        )
    except OSError as e:
        raise ToolError(f"{command[0]}: cannot be started: {e.strerror}", hint="edgecompress doctor says what is installed") from e
    except subprocess.TimeoutExpired as e:
        raise ToolError(f"`{shown}` did not end within {TOOL_TIMEOUT_S} s", hint="try again on an idle machine") from e
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:])
        raise ToolError(f"`{shown}` failed with exit code {done.returncode}:\n{last}", hint="edgecompress doctor checks the toolchain")
    return done.stdout
