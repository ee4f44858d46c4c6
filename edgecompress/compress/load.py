"""A .keras file, loaded without running code from it."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.errors import ModelError

if TYPE_CHECKING:
    from keras import Model

_HDF5 = b"\x89HDF\r\n\x1a\n"
_TFLITE_AT_4 = b"TFL3"
_MEMBERS = ("config.json", "model.weights.h5")
_UNKNOWN = re.compile(r"Could not (?:locate (?:class|function)|deserialize) '([^']+)'")
_SAVE_HINT = "save the model with model.save('model.keras') in Keras 3"


def load_keras(path: Path) -> Model:
    """The model in a .keras file, compiled if it was saved so; Keras' safe mode is on.

    Raises:
        ModelError: missing, a folder, another format, damaged, with layers that Keras does not know, or with Python code in it.
    """
    check_keras_file(path)
    import keras

    try:
        with warnings.catch_warnings():
            # Keras warns that the optimizer's state does not fit; every pass starts an optimizer of its own.
            warnings.simplefilter("ignore", UserWarning)
            try:
                return keras.models.load_model(path, safe_mode=True)
            except (TypeError, ValueError, AttributeError, LookupError, NotImplementedError):
                # The layers may be fine and only the loss or a metric unknown: those can be inferred again.
                return keras.models.load_model(path, safe_mode=True, compile=False)
    except Exception as e:  # the file is untrusted, and Keras raises whatever its parts raise
        raise _explain(path, e) from e


def check_keras_file(path: Path) -> None:
    """Refuse at once what is no .keras file, without importing Keras.

    Raises:
        ModelError: missing, a folder, another format or damaged.
    """
    if path.is_dir():
        kind = "a SavedModel folder" if (path / "saved_model.pb").exists() else "a folder"
        raise ModelError(f"{path}: expected a .keras file, came {kind}", hint=_SAVE_HINT)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as e:
        raise ModelError(f"{path}: cannot be read: {e.strerror}", hint="give the path of a .keras file") from e
    if start == _HDF5:
        raise ModelError(
            f"{path}: is a model in the old HDF5 format",
            hint="load it with keras.models.load_model(path, compile=False), then model.save('model.keras')",
        )
    if start[4:8] == _TFLITE_AT_4:
        raise ModelError(f"{path}: is a .tflite, already converted", hint="compress takes the .keras model that it was made from")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path}: is no .keras file, which is a zip archive{'' if start else '; it is empty'}", hint=_SAVE_HINT)
    _check_members(path)


def _check_members(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [name for name in _MEMBERS if name not in archive.namelist()]
            damaged = None if missing else archive.testzip()
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as e:
        raise ModelError(f"{path}: is a damaged zip archive: {e}", hint="copy or save the file again") from e
    if missing:
        raise ModelError(f"{path}: is a zip archive without {missing[0]}, so it is no Keras 3 model", hint=_SAVE_HINT)
    if damaged is not None:
        raise ModelError(f"{path}: is damaged: the checksum of its {damaged} is wrong", hint="copy or save the file again")


def _explain(path: Path, error: Exception) -> ModelError:
    text = str(error)
    unknown = _UNKNOWN.search(text)
    if unknown:
        return ModelError(
            f"{path}: uses {unknown.group(1)!r}, which Keras does not know",
            hint="define it in your --data file with @keras.saving.register_keras_serializable(), under the package name it was saved with",
        )
    if "safe_mode" in text or "Lambda" in text:
        return ModelError(
            f"{path}: holds Python code (a Lambda layer), which is not run from a file",
            hint="replace the Lambda by keras.ops calls or a layer of your own, then save the model again",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return ModelError(
        f"{path}: Keras cannot load it: {type(error).__name__}: {lines[0][:300]}", hint="save it with the Keras version installed here"
    )
