"""A .tflite file's bytes, or one sentence that says why there are none."""

from __future__ import annotations

import stat
from pathlib import Path

from edgecompress.convert.schema import FILE_IDENTIFIER
from edgecompress.errors import ModelError

# Far above any model for a microcontroller or a phone; it keeps a wrong path from filling the memory.
MAX_FILE_BYTES = 256 * 1024 * 1024

_IDENTIFIER_AT = 4
_CONVERT_FIRST = "`edgecompress compress MODEL.keras` makes a .tflite from a Keras model"
_KERAS_STARTS = {b"PK\x03\x04": "a .keras or other ZIP file", b"\x89HDF": "an HDF5 file (.h5)"}


def read_model_bytes(path: Path) -> bytes:
    """The bytes of a file that begins like a .tflite.

    Raises:
        ModelError: there is no such file, it cannot be read, is empty or too large, or begins like no .tflite.
    """
    data = _read_file(path)
    check_start(str(path), data)
    return data


def _read_file(path: Path) -> bytes:
    try:
        kind = path.stat()
        if stat.S_ISDIR(kind.st_mode):
            raise ModelError(f"{path}: this is a folder; expected a .tflite file", hint="name the file inside of it")
        if not stat.S_ISREG(kind.st_mode):
            raise ModelError(f"{path}: this is a device or a pipe; expected a .tflite file", hint="save the model as a file first")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as e:
        raise ModelError(f"{path}: there is no such file; expected a .tflite file", hint="check the path") from e
    except (OSError, ValueError) as e:  # ValueError: a NUL in the path
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise ModelError(f"{path}: the file cannot be read: {reason}", hint="check the path and the file's permissions") from e
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(
            f"{path}: the file has more than {MAX_FILE_BYTES:,} bytes, the most that is read", hint="check that this is the model you meant"
        )
    return data


def check_start(label: str, data: bytes) -> None:
    """Fail unless `data` carries the identifier of a .tflite; `label` names it in the message.

    Raises:
        ModelError: it is empty, too short, or another kind of file.
    """
    if not data:
        raise ModelError(f"{label}: the file is empty; expected a .tflite file", hint="export or copy the model again")
    for start, kind in _KERAS_STARTS.items():
        if data.startswith(start):
            raise ModelError(f"{label}: this is {kind}; expected a .tflite file", hint=_CONVERT_FIRST)
    if len(data) < _IDENTIFIER_AT + len(FILE_IDENTIFIER):
        raise ModelError(f"{label}: the file has only {len(data)} bytes; expected a .tflite file", hint="export or copy the model again")
    found = data[_IDENTIFIER_AT : _IDENTIFIER_AT + len(FILE_IDENTIFIER)]
    if found != FILE_IDENTIFIER:
        raise ModelError(
            f"{label}: this is not a .tflite file: bytes 4 to 7 are {found!r}; expected {FILE_IDENTIFIER!r}", hint=_CONVERT_FIRST
        )
