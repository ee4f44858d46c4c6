"""The Python that runs a worker on this computer.

LiteRT is in ours. tflite-runtime's last release wants Python 3.8 to 3.11 and numpy 1, which we have not: it gets an environment of its own
in the user's cache, made when it is first asked for, under a lock, beside its final name and then renamed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgecompress.artifact import Engine
from edgecompress.errors import OutputError, ToolError, UserError
from edgecompress.progress import Progress, silent
from edgecompress.tools import cache_dir, run_tool

VARIABLE = "EDGECOMPRESS_TFLITE_PYTHON"
TFLITE_RUNTIME = "2.14.0"
# Those that its wheels exist for.
_PYTHONS = ((3, 8), (3, 9), (3, 10), (3, 11))
_CHOICE = f"name a Python that has tflite-runtime and numpy<2: --python PATH, or ${VARIABLE}"


def local_python(engine: Engine, *, progress: Progress = silent) -> str:
    """The Python to give to `open_worker` for this computer.

    Raises:
        UserError: this Python has no tflite-runtime, or the engine is none of Python's.
        ToolError: its environment cannot be made: no network, most likely.
        OutputError: the cache folder cannot be written.
    """
    if engine is Engine.LITERT:
        return sys.executable
    if engine is not Engine.TFLITE_RUNTIME:
        raise UserError(f"engine {engine.value} is no Python runtime", hint="choose litert or tflite-runtime")
    named = os.environ.get(VARIABLE)
    if named:
        if shutil.which(named) is None:
            raise UserError(f"${VARIABLE} names {named}, which is no program", hint=_CHOICE)
        return named
    if sys.version_info[:2] not in _PYTHONS or os.name != "posix":
        have = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {sys.platform}"
        raise UserError(f"tflite-runtime {TFLITE_RUNTIME} exists for Python 3.8 to 3.11; this is {have}", hint=_CHOICE)
    return str(_environment(progress) / "bin" / "python")


def _environment(progress: Progress) -> Path:
    """The environment's folder, made if it is not there or its Python is gone."""
    folder = cache_dir() / f"tflite-runtime-{TFLITE_RUNTIME}-py{sys.version_info[0]}{sys.version_info[1]}"
    if _is_usable(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if not _is_usable(folder):
                progress(f"making an environment with tflite-runtime {TFLITE_RUNTIME}", 0, None)
                _make(folder)
    except OSError as e:
        raise OutputError(
            f"{folder.parent}: cannot be written: {e.strerror or e}", hint="set XDG_CACHE_HOME to a folder that you may write to"
        ) from e
    return folder


def _is_usable(folder: Path) -> bool:
    # A link to a Python that was removed since is no file.
    return (folder / "bin" / "python").is_file()


def _make(folder: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        python = str(work / "env" / "bin" / "python")
        quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONNOUSERSITE": "1"}
        try:
            run_tool([sys.executable, "-m", "venv", str(work / "env")], cwd=work, environment=quiet)
            run_tool([python, "-m", "pip", "install", "-q", f"tflite-runtime=={TFLITE_RUNTIME}", "numpy<2"], cwd=work, environment=quiet)
            run_tool([python, "-c", "import numpy, tflite_runtime.interpreter"], cwd=work, environment=quiet)
        except ToolError as e:
            raise ToolError(f"the environment for tflite-runtime cannot be made: {e.message}", hint=_CHOICE) from e
        shutil.rmtree(folder, ignore_errors=True)
        # Only bin/python is used, and that may move; the scripts beside it may not.
        (work / "env").replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One maker at a time; the lock goes with the process that holds it."""
    import fcntl

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
