"""The teachers of a student: found, loaded, and checked to take the same inputs and give the same outputs."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from edgecompress.compress.load import load_keras
from edgecompress.errors import ModelError
from edgecompress.recipe.teacher import ORIGINAL


def load_teachers(names: Sequence[str], original: keras.Model) -> list[keras.Model]:
    """The models that a recipe names: `original` as it is, files loaded in safe mode.

    Raises:
        ModelError: a file is missing or no .keras file.
    """
    # Keras finds a saved layer's class only where the module that defines it was imported.
    importlib.import_module("edgecompress.compress.int8.fake_quant")
    return [original if name == ORIGINAL else load_keras(Path(name)) for name in names]


def check_teacher(teacher: keras.Model, student: keras.Model) -> None:
    """Refuse a teacher whose inputs or outputs differ from the student's; a subclassed model shows that only when it runs.

    Raises:
        ModelError: with both shapes.
    """
    if not getattr(teacher, "inputs", None):
        return
    for what in ("inputs", "outputs"):
        theirs, ours = ([tuple(t.shape[1:]) for t in getattr(model, what)] for model in (teacher, student))
        if theirs != ours:
            raise ModelError(
                f"teacher {teacher.name!r} has {what} of shape {theirs}; the student {student.name!r} has {ours}",
                hint="a teacher must take the same inputs and give the same outputs; wrap it in a model that converts them",
            )


def run_teacher(teacher: keras.Model, x: Any) -> list[Any]:  # noqa: ANN401  what the student takes
    """The outputs, as at inference, for inputs in the student's structure; several inputs are matched by position."""
    structure = getattr(getattr(teacher, "_functional", None) or teacher, "_inputs_struct", None)
    given = x if structure is None else keras.tree.pack_sequence_as(structure, keras.tree.flatten(x))
    return list(keras.tree.flatten(teacher(given, training=False)))
