"""A recipe applied to a model: each step a function of model, settings and data that gives a model and a note."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecompress.compress.data import Data, fit_data
from edgecompress.compress.report import build_report
from edgecompress.convert import Converter
from edgecompress.progress import Progress, silent
from edgecompress.recipe import DEFAULT_RECIPE, PruneSettings, QuantizeSettings, Recipe, Settings

if TYPE_CHECKING:
    from keras import Model

    from edgecompress.compress.prune import PruneNote
    from edgecompress.compress.quantization import QuantizeNote
    from edgecompress.compress.score import Score


@dataclass(frozen=True, eq=False)
class CompressResult:
    """What compression gives.

    Attributes:
        model_bytes: the .tflite.
        report: ready for JSON, see `report.build_report`.
        keras_model: the model just before conversion: with fake-quant after QAT, prepared for post-training quantization.
    """

    model_bytes: bytes
    report: dict[str, Any]
    keras_model: Model


def compress(
    model: Model,
    recipe: Recipe = DEFAULT_RECIPE,
    data: Data | None = None,
    *,
    progress: Progress = silent,
    converter: Converter | None = None,
) -> CompressResult:
    """Apply the recipe's steps in order, then convert; `model` is not changed. The same inputs give the same bytes.

    Sets the random seeds of Python, numpy and TensorFlow to the recipe's.

    Args:
        recipe: a recipe without a quantize step ends in post-training int8.
        data: what the steps need of train, validation and calibration data.
        converter: one that is running already; by default one is started for this model.

    Raises:
        DataError: data that a step needs is missing or does not fit the model.
        RecipeError: a step names a layer that does not exist.
        ModelError, UnsupportedOpError: the model cannot be rewritten or converted; the layer is named.
        ToolError: the converter failed.

    Example:
        >>> result = compress(model, data=Data(calibration=x[:200]))  # doctest: +SKIP
        >>> Path("model.tflite").write_bytes(result.model_bytes)  # doctest: +SKIP
    """
    import keras

    from edgecompress.compress.layers import require_float_layers
    from edgecompress.compress.quantization import convert_quantized
    from edgecompress.compress.score import score_model

    require_float_layers(model, recipe.quantize.allow_float)
    keras.utils.set_random_seed(recipe.seed)
    data = fit_data(data or Data(), model)
    before = score_model(model, data)
    settings: list[Settings] = list(recipe.step)
    if not isinstance(settings[-1], QuantizeSettings):
        settings.append(recipe.quantize)
    steps: list[tuple[Settings, PruneNote | QuantizeNote]] = []
    current = model
    for step in settings:
        current, note = _apply(current, step, data, progress)
        steps.append((step, note))
    progress("convert", 0, 1)
    with nullcontext(converter) if converter else Converter() as running:
        model_bytes = convert_quantized(current, recipe.quantize, data, running)
    progress("convert", 1, 1)
    after = _score(model_bytes, model, data)
    return CompressResult(model_bytes, build_report(recipe=recipe, steps=steps, model=model_bytes, before=before, after=after), current)


def _apply(model: Model, settings: Settings, data: Data, progress: Progress) -> tuple[Model, PruneNote | QuantizeNote]:
    """One step of a recipe; a new pass is one more case."""
    match settings:
        case PruneSettings():
            from edgecompress.compress.prune import prune

            return prune(model, settings, data, progress=progress)
        case QuantizeSettings():
            from edgecompress.compress.quantization import quantize

            return quantize(model, settings, data, progress=progress)


def _score(model_bytes: bytes, model: Model, data: Data) -> Score | None:
    from edgecompress.compress.evaluate import score_tflite
    from edgecompress.compress.objective import gives_probabilities

    if data.validation is None:
        return None
    x, y = data.validation
    if len(model.outputs) != 1 or not isinstance(y, np.ndarray):
        return None
    return score_tflite(model_bytes, x, y, probabilities=gives_probabilities(model))
