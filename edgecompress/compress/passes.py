"""Which function does which step: a new pass is one more case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from edgecompress.compress.data import Data
from edgecompress.progress import Progress
from edgecompress.recipe import PruneSettings, QuantizeSettings, Settings

if TYPE_CHECKING:
    from keras import Model

Note: TypeAlias = Any
"""A frozen dataclass of the pass's own; `dataclasses.asdict` makes it ready for JSON."""


def apply_pass(model: Model, settings: Settings, data: Data, original: Model, progress: Progress) -> tuple[Model, Note]:
    """One step of a recipe.

    Args:
        original: the model that the recipe began with: the default teacher.

    Returns:
        The new model, and what was done.
    """
    match settings:
        case PruneSettings():
            from edgecompress.compress.prune import prune

            return prune(model, settings, data, original=original, progress=progress)
        case QuantizeSettings():
            from edgecompress.compress.quantization import quantize

            return quantize(model, settings, data, original=original, progress=progress)
