"""Which function does which step: a new pass is one more line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from edgecompress.compress.data import Data
from edgecompress.progress import Progress
from edgecompress.recipe import Settings

if TYPE_CHECKING:
    from keras import Model

Note: TypeAlias = Any
"""A frozen dataclass of the pass's own; `dataclasses.asdict` makes it ready for JSON."""

_MODULES = {
    "bits": "grid.bits",
    "cluster": "grid.cluster",
    "distill": "distill.learn",
    "fuse": "fusion",
    "lowrank": "lowrank.step",
    "prune": "prune.step",
    "quantize": "int8.step",
    "regularize": "regularize.learn",
    "replace": "replace.model",
    "shrink": "shrink.step",
    "student": "student.step",
    "transformer": "transformer.step",
}
"""The module below `compress` that holds the function of the pass's own name; imported when a recipe asks for it."""


def apply_pass(model: Model, settings: Settings, data: Data, original: Model, progress: Progress) -> tuple[Model, Note]:
    """One step of a recipe.

    Args:
        original: the model that the recipe began with: the default teacher.

    Returns:
        The new model, and what was done.
    """
    function = getattr(import_module(f"edgecompress.compress.{_MODULES[settings.kind]}"), settings.kind)
    result: tuple[Model, Note] = function(model, settings, data, original=original, progress=progress)
    return result
