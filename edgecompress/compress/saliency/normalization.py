"""The scale that BatchNormalization gives each unit: |gamma| (Liu et al. 2017, "Network slimming", section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from edgecompress.compress.saliency.criteria import Floats
from edgecompress.compress.saliency.run_network import calls_by_path, normalization_of, open_model, require_calls
from edgecompress.errors import RecipeError


def normalization_scales(model: keras.Model, paths: Sequence[str]) -> dict[str, Floats]:
    """[units] |gamma| behind each layer.

    Raises:
        RecipeError: a layer has no BatchNormalization with a scale behind it.
    """
    network = open_model(model)
    uses = calls_by_path(model, network)
    found: dict[str, Floats] = {}
    for path in paths:
        norm = normalization_of(network, require_calls(uses, path, "saliency 'bn_scale'")[0])
        if norm is None or norm.gamma is None:
            raise RecipeError(
                f"saliency 'bn_scale': layer {path!r} has no BatchNormalization with a scale right behind it",
                hint="leave the layer out, or choose a saliency of its weights",
            )
        found[path] = np.abs(np.asarray(norm.gamma.value, np.float64))
    return found
