"""The same model with a fresh last layer, for labels of a new task."""

from __future__ import annotations

from typing import Any

import keras

from edgecompress.compress.training.train import copy_model
from edgecompress.errors import ModelError, RecipeError
from edgecompress.recipe.prune import NewHead

_WIDTHS = {"units": keras.layers.Dense, "filters": keras.layers.Conv1D | keras.layers.Conv2D}


def replace_head(model: keras.Model, head: NewHead) -> keras.Model:
    """A copy of `model` whose layer `head.layer` has new weights, and `head.units` outputs; all others keep theirs. Not compiled.

    Raises:
        RecipeError: no Dense or convolution layer of that name stands at the model's top level, or it is on a codebook.
        ModelError: the layers behind it do not take its new width.
    """
    bare = copy_model(model)
    layers = {layer.name: layer for layer in bare.layers}
    if _width_of(layers.get(head.layer)) is None:
        names = [name for name, layer in layers.items() if _width_of(layer)]
        raise RecipeError(
            f"prune: new_head names {head.layer!r}, which is no Dense or convolution layer at the top of model {model.name!r}",
            hint=f"its layers: {', '.join(names[-4:])}",
        )

    if getattr(layers[head.layer], "levels", 0):
        raise RecipeError(
            f"prune: new_head names {head.layer!r}, whose weights are on a codebook, which fresh ones have not",
            hint="name it in exclude of the step with the codebook, or take the new head before that step",
        )

    def clone(layer: Any) -> Any:  # noqa: ANN401  Keras ships without types
        config = layer.get_config()
        if layer.name == head.layer and head.units is not None:
            config[_width_of(layer)] = head.units
        return type(layer).from_config(config)

    try:
        fresh = keras.models.clone_model(bare, clone_function=clone)
        for layer in fresh.layers:
            if layer.name != head.layer:
                layer.set_weights(layers[layer.name].get_weights())
    except ValueError as e:
        raise ModelError(
            f"prune: model {model.name!r} does not take {head.units} outputs of {head.layer!r}: {str(e).splitlines()[0]}",
            hint="the new head must be the last layer whose width the others do not depend on",
        ) from e
    return fresh


def _width_of(layer: keras.Layer | None) -> str | None:
    """The setting that holds a layer's number of outputs."""
    return next((setting for setting, kinds in _WIDTHS.items() if isinstance(layer, kinds)), None)
