"""The function that `--data FILE.py:FUNCTION` names, called.

The file runs with the user's rights, as by `python FILE.py`: the current folder stays, and modules beside the file can be imported.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from edgecompress.compress.data import Data, as_data
from edgecompress.errors import DataError

_MODULE_NAME = "edgecompress_user_data"
_SHOWN = 8


def load_data(spec: str) -> Data:
    """Call the function that `FILE.py:FUNCTION` names.

    Raises:
        DataError: the file or function is missing, it raises, or what it returns is no such data.
    """
    path, function = _split(spec)
    with _importable(path.parent):
        module = _load_module(path, spec)
        call = getattr(module, function, None)
        if not callable(call):
            names = [name for name, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == _MODULE_NAME]
            raise DataError(f"{spec}: {path.name} has no function {function!r}", hint=_which(function, names))
        try:
            result = call()
        except (Exception, SystemExit) as e:
            raise DataError(f"{spec}: the data function failed: {_last_line(e, path)}", hint=f"try it alone: python {path}") from e
        return as_data(result, spec)


def _which(function: str, names: list[str]) -> str:
    """The name that was meant, or those that there are."""
    near = get_close_matches(function, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it has {', '.join(names[:_SHOWN])}{more}" if names else "it has no functions"


def _split(spec: str) -> tuple[Path, str]:
    name, colon, function = spec.rpartition(":")
    if not colon or not name.endswith(".py") or not function.isidentifier():
        raise DataError(f"{spec!r} is no FILE.py:FUNCTION", hint="for example --data data.py:load")
    path = Path(name).absolute()
    if not path.is_file():
        raise DataError(f"{spec}: there is no file {name}", hint=f"it was looked for at {path}")
    return path, function


def _load_module(path: Path, spec: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(_MODULE_NAME, path)
    if found is None or found.loader is None:
        raise DataError(f"{spec}: {path.name} cannot be imported", hint="give a Python file")
    module = importlib.util.module_from_spec(found)
    # Classes and functions defined in the file look themselves up here (dataclasses, pickle).
    sys.modules[_MODULE_NAME] = module
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as e:
        raise DataError(f"{spec}: {path.name} cannot be imported: {_last_line(e, path)}", hint=f"try it alone: python {path}") from e
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the file import modules that stand beside it."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _last_line(error: BaseException, path: Path) -> str:
    """Where in the user's file it happened, and what: `line 7, in load: ValueError: boom`."""
    # Of a syntax error the last line says what; of all others the first, since a message may have several.
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    text = lines[-1 if isinstance(error, SyntaxError) else 0]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"line {error.lineno}: {text}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {frames[-1].lineno}, in {frames[-1].name}: {text}" if frames else text
