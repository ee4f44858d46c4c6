"""Programs of the tests: pieces of Python that the code under test starts by name."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def write_program(path: Path, source: str) -> Path:
    """A program at `path` that runs `source` in this Python.

    A shell script starts it: the first line of a script cannot name an interpreter in a folder with a space in its name.
    """
    script = path.with_name(f"{path.name}.py")
    script.write_text(source, encoding="utf-8")
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path
