"""Finished steps of a recipe on disk, so that a run goes on after Ctrl-C or a kill where the last finished step left it.

Each step has a key: a digest of the model, the data with its loss and metric, the recipe up to that step, and the versions of what
computed it. A step whose key is found again is not done again. Folders are written beside their final names and renamed, so a kill leaves
whole ones only.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecompress.compress.data import Data
from edgecompress.compress.stream import Stream
from edgecompress.compress.training.objective import Objective
from edgecompress.errors import ModelError, OutputError
from edgecompress.recipe import Recipe, Settings

if TYPE_CHECKING:
    from keras import Model

_MODEL, _ENTRY = "model.keras", "step.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One finished step: the model that came out of it, and its entry of the report."""

    model: Model
    entry: dict[str, Any]


class Checkpoints:
    """A folder of finished steps.

    Args:
        folder: made when the first step is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, index: int, key: str) -> Checkpoint | None:
        """What step `index` gave when its key was this one; None when that was not kept, or is damaged."""
        folder = self._folder / str(index)
        try:
            stored = json.loads((folder / _ENTRY).read_text(encoding="utf-8"))
            if stored["key"] != key:
                return None
            return Checkpoint(_load_model(folder / _MODEL), stored["entry"])
        except (OSError, ValueError, KeyError, TypeError, ModelError):
            return None

    def save(self, index: int, key: str, model: Model, entry: dict[str, Any]) -> None:
        """Keep a finished step.

        Raises:
            OutputError: the folder cannot be written, or the disk is full.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".step-", dir=self._folder))
            try:
                model.save(work / _MODEL)
                (work / _ENTRY).write_text(json.dumps({"key": key, "entry": entry}), encoding="utf-8")
                shutil.rmtree(self._folder / str(index), ignore_errors=True)
                work.rename(self._folder / str(index))
            finally:
                shutil.rmtree(work, ignore_errors=True)
        except OSError as e:
            reason = e.strerror or e
            raise OutputError(
                f"{self._folder}: step {index + 1} cannot be kept: {reason}", hint="free some space, or choose another folder with -o"
            ) from e

    def remove(self) -> None:
        """Forget all steps: the run is done."""
        shutil.rmtree(self._folder, ignore_errors=True)


def step_keys(model: Model, data: Data, recipe: Recipe, steps: Iterable[Settings], versions: dict[str, Any]) -> list[str]:
    """One key a step; each covers everything before it."""
    digest = hashlib.sha256()
    digest.update(json.dumps([versions, recipe.seed, recipe.deterministic, recipe.strategy], sort_keys=True).encode())
    digest.update(model.to_json().encode())
    for weight in model.get_weights():
        _add_array(digest, weight)
    _add_data(digest, data)
    keys = []
    for step in steps:
        digest.update(step.model_dump_json(by_alias=True).encode())
        for path in _files_of(step):
            digest.update(path.read_bytes())
        keys.append(digest.hexdigest())
    return keys


def _files_of(step: Settings) -> list[Path]:
    """Files that a step reads: its teachers. A missing one is the step's own error to report."""
    names = [*getattr(getattr(step, "distill", None), "teachers", ()), *getattr(step, "teachers", ())]
    paths = [Path(name) for name in names]
    return [path for path in paths if path.is_file()]


def _add_data(digest: Any, data: Data) -> None:  # noqa: ANN401  hashlib's type is private
    import keras

    for part in (data.train, data.validation, data.calibration):
        if isinstance(part, Stream):
            _add_stream(digest, part)
        elif part is not None:
            for array in keras.tree.flatten(part):
                _add_array(digest, np.asarray(array))
        digest.update(b"|")
    objective = (data.loss.loss, data.loss.loss_weights) if isinstance(data.loss, Objective) else data.loss
    for value in keras.tree.flatten((objective, data.metric, data.metric_goal)):
        digest.update(_words_of(value).encode())


def _add_stream(digest: Any, stream: Stream) -> None:  # noqa: ANN401
    """Reading all of a stream would cost an epoch: its length and its first batch stand for it.

    A stream that shuffles or augments gives another first batch each time, and in another process: then only its shapes and types do.
    """
    import keras

    first, again = ([np.asarray(array) for array in keras.tree.flatten(next(iter(stream)))] for _ in range(2))
    digest.update(str(stream.batches).encode())
    repeats = all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    for array in first:
        if repeats:
            _add_array(digest, array)
        else:
            digest.update(f"{array.dtype}{array.shape}".encode())


def _words_of(value: Any) -> str:  # noqa: ANN401  a loss, a metric, or a weight of one
    """What tells a loss or a metric from another one: its settings, and its source text where Python knows it."""
    import keras

    is_function = inspect.isroutine(value)
    try:
        settings = value.__name__ if is_function else keras.saving.serialize_keras_object(value)
        words = json.dumps(settings, sort_keys=True, default=lambda part: type(part).__qualname__)
    except (TypeError, ValueError, NotImplementedError):
        words = type(value).__qualname__
    try:
        return words + inspect.getsource(value if is_function else type(value))
    except (OSError, TypeError):
        return words


def _add_array(digest: Any, array: Any) -> None:  # noqa: ANN401
    digest.update(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)


def _load_model(path: Path) -> Model:
    import importlib

    from edgecompress.compress.load import load_keras

    # Keras finds a saved layer's class only where the module that defines it was imported.
    importlib.import_module("edgecompress.compress.int8.fake_quant")
    return load_keras(path)
