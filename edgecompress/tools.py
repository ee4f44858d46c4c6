"""Programs that we start: where they are, how they are run, and what a failure of one looks like."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompress.errors import OutputError, ToolError

# The first link for a core builds the compiler's run-time library: 5 to 60 s by machine and load.
TOOL_TIMEOUT_S = 600
_SHOWN_LINES = 12
# More than any object file or firmware of ours.
_PROBE_BYTES = 4 << 20


@dataclass(frozen=True)
class Zig:
    """The zig compiler of the ziglang package. Its caches go to `environment`'s folder."""

    program: Path
    version: str
    environment: Mapping[str, str]


def cache_dir() -> Path:
    """Where things that may be used again are kept: $XDG_CACHE_HOME/edgecompress, or ~/.cache/edgecompress."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "edgecompress"


def find_zig() -> Zig:
    """The zig compiler of this Python environment.

    Raises:
        ToolError: the package is not installed.
        OutputError: its cache folder cannot be written.
    """
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
    return Zig(program, importlib.metadata.version("ziglang"), environment)


def run_tool(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> str:
    """Run a program to its end and give its standard output.

    Raises:
        OutputError: it failed, and the disk below `cwd` is full.
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
        _check_space(cwd)
        last = "\n".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:])
        raise ToolError(f"`{shown}` failed with exit code {done.returncode}:\n{last}", hint="edgecompress doctor checks the toolchain")
    return done.stdout


def _check_space(folder: Path) -> None:
    """Compilers that cannot write end with a signal and no word.

    Raises:
        OutputError: `folder` takes no _PROBE_BYTES more.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as e:
        raise OutputError(f"{folder.parent}: cannot be written: {e.strerror}", hint="free some space, or choose another folder") from e
