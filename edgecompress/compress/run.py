"""A recipe applied to a model: each step a function of model, settings and data that gives a model and a note, and is measured."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecompress.compress.checkpoints import Checkpoints, step_keys
from edgecompress.compress.data import Data, as_data, fit_data
from edgecompress.compress.footprint import Footprint, measure_bytes, measure_footprint
from edgecompress.compress.load import check_keras_file
from edgecompress.compress.passes import Note, apply_pass
from edgecompress.compress.report import build_report, package_versions, step_entry
from edgecompress.convert import Converter
from edgecompress.errors import DataError, ModelError
from edgecompress.progress import Progress, silent
from edgecompress.recipe import DEFAULT_RECIPE, QuantizeSettings, Recipe, Settings
from edgecompress.recipe.shrink import ShrinkSettings
from edgecompress.recipe.teacher import teacher_files

if TYPE_CHECKING:
    from keras import Model

_KEEPING = frozenset({"prune", "regularize", "lowrank", "cluster", "bits", "distill"})
"""Steps after which a model has the kinds of layers that it had before."""


@dataclass(frozen=True, eq=False)
class CompressResult:
    """What compression gives.

    Attributes:
        model_bytes: the .tflite.
        report: ready for JSON, see `report.build_report`.
        keras_model: the model just before conversion: with fake-quant after QAT, prepared for post-training quantization.
        resumed: how many steps an earlier run had finished.
    """

    model_bytes: bytes
    report: dict[str, Any]
    keras_model: Model
    resumed: int = 0


def compress(
    model: Model,
    recipe: Recipe = DEFAULT_RECIPE,
    data: Data | None = None,
    *,
    progress: Progress = silent,
    converter: Converter | None = None,
    checkpoints: Checkpoints | None = None,
) -> CompressResult:
    """Apply the recipe's steps in order, then convert; `model` is not changed. The same inputs give the same bytes.

    Sets the random seeds of Python, numpy and TensorFlow to the recipe's.

    Args:
        recipe: a recipe without a quantize step ends in post-training int8.
        data: what the steps need of train, validation and calibration data; parts may be Datasets and PyDatasets.
        converter: one that is running already; by default one is started for this model.
        checkpoints: where finished steps are kept, and where an interrupted run goes on; None keeps nothing.

    Raises:
        DataError: data that a step needs is missing or does not fit the model.
        RecipeError: a step names a layer that does not exist.
        ModelError, UnsupportedOpError: the model cannot be rewritten or converted; the layer is named.
        ToolError: the converter failed.

    Example:
        >>> result = compress(model, data=Data(calibration=x[:200]))  # doctest: +SKIP
        >>> Path("model.tflite").write_bytes(result.model_bytes)  # doctest: +SKIP
    """
    from edgecompress.compress.layers import require_computable, require_float_layers
    from edgecompress.compress.training.surroundings import op_determinism

    _require_teachers(recipe)
    require_computable(model)
    require_float_layers(model, recipe.quantize.allow_float)
    _require_int8_layers(model, recipe)
    fitted = _with_objective(fit_data(Data() if data is None or data.is_empty else as_data(data, "data"), model), model)
    with op_determinism(recipe), nullcontext(converter) if converter else Converter() as running:
        return _Run(model, recipe, fitted, progress, running, checkpoints).run()


def set_seeds(seed: int) -> None:
    """Python's, numpy's and TensorFlow's random numbers from here on."""
    import keras

    keras.utils.set_random_seed(seed)


class _Run:
    """One recipe on its way; `_current` is the model after the steps done so far."""

    def __init__(
        self, model: Model, recipe: Recipe, data: Data, progress: Progress, converter: Converter, checkpoints: Checkpoints | None
    ) -> None:
        self._original = self._current = model
        self._recipe = recipe
        self._data = data
        self._progress = progress
        self._converter = converter
        self._checkpoints = checkpoints
        self._steps = _steps_of(recipe)
        self._entries: list[dict[str, Any]] = []
        self._resumed = 0

    def run(self) -> CompressResult:
        *steps, closing = self._steps
        allowed = self._recipe.quantize.allow_float
        self._progress("measure", 0, None)
        before = first = measure_footprint(self._original, self._data, self._converter, allow_float=allowed)
        keys = self._keys()
        for index, settings in enumerate(steps):
            if self._resume(index, keys):
                before = _footprint_of(self._entries[-1])
                continue
            note, seconds = self._apply(index, settings)
            self._progress("measure", 0, None)
            after = measure_footprint(self._current, self._data, self._converter, allow_float=allowed)
            self._entries.append(step_entry(settings, note, before, after, seconds))
            if self._checkpoints is not None:
                self._checkpoints.save(index, keys[index], self._current, self._entries[-1])
            before = after
        note, seconds = self._apply(len(steps), closing)
        return self._convert(closing, note, seconds, first, before)

    def _apply(self, index: int, settings: Settings) -> tuple[Note, float]:
        """Do one step, from a seed of its own, so that a resumed run draws the same numbers."""
        from edgecompress.compress.training.surroundings import strategy_scope
        from edgecompress.compress.training.train import copy_model

        set_seeds(self._recipe.seed + index)
        start = time.perf_counter()
        # Post-training quantization has no training that a strategy could share out, and adaptive rounding's own runs on one device.
        calibrates = isinstance(settings, QuantizeSettings) and settings.method == "ptq"
        with nullcontext() if calibrates else strategy_scope(self._recipe):
            self._current, note = apply_pass(self._current, settings, self._data, self._original, self._progress)
        if self._recipe.strategy != "single":
            # Variables that live on several devices stay behind.
            self._current = copy_model(self._current)
        return note, time.perf_counter() - start

    def _convert(self, settings: Settings, note: Note, seconds: float, first: Footprint, before: Footprint) -> CompressResult:
        from edgecompress.compress.int8.step import convert_quantized
        from edgecompress.compress.score import score_model

        quantize = self._recipe.quantize
        self._progress("convert", 0, 1)
        start = time.perf_counter()
        model_bytes = convert_quantized(self._current, quantize, self._data, self._converter)
        seconds += time.perf_counter() - start
        self._progress("convert", 1, 1)
        measured = measure_bytes(model_bytes, self._original, self._data, mode=quantize.mode)
        after = replace(measured, keras=score_model(self._current, self._data))
        self._entries.append(step_entry(settings, note, before, after, seconds))
        report = build_report(recipe=self._recipe, steps=self._entries, model=model_bytes, before=first, after=after)
        return CompressResult(model_bytes, report, self._current, self._resumed)

    def _keys(self) -> list[str]:
        if self._checkpoints is None:
            return []
        return step_keys(self._original, self._data, self._recipe, self._steps, package_versions())

    def _resume(self, index: int, keys: list[str]) -> bool:
        """Take over a step that an earlier run finished."""
        if self._checkpoints is None or self._resumed < index:
            return False
        found = self._checkpoints.load(index, keys[index])
        if found is None:
            return False
        self._current = found.model
        self._entries.append(found.entry)
        self._resumed += 1
        return True


def _steps_of(recipe: Recipe) -> list[Settings]:
    steps: list[Settings] = list(recipe.step)
    return steps if isinstance(steps[-1], QuantizeSettings) else [*steps, recipe.quantize]


def _require_teachers(recipe: Recipe) -> None:
    """Refuse a missing teacher at once, not when the steps before it have trained."""
    for number, step in enumerate(recipe.step, 1):
        for name in teacher_files(step):
            try:
                check_keras_file(Path(name))
            except ModelError as e:
                raise ModelError(f"step {number} ({step.kind}): teacher {e.message}", hint=e.hint) from e


def _require_int8_layers(model: Model, recipe: Recipe) -> None:
    """Refuse a layer that the closing quantization-aware training would leave in float at once, not after the training before it."""
    *earlier, closing = _steps_of(recipe)
    if isinstance(closing, QuantizeSettings) and closing.method == "qat" and earlier and all(_keeps_layers(step) for step in earlier):
        from edgecompress.compress.int8.step import require_int8_layers

        require_int8_layers(model, closing)


def _keeps_layers(step: Settings) -> bool:
    """Whether the model after the step has the kinds of layers that it had before."""
    return step.kind in _KEEPING or (isinstance(step, ShrinkSettings) and step.remove != "blocks")


def _with_objective(data: Data, model: Model) -> Data:
    """The same data with the loss of the model that came in: later models are rebuilt ones, which know none."""
    from edgecompress.compress.training.objective import find_objective

    if data.train is None:
        return data
    try:
        return replace(data, loss=find_objective(model, data))
    except DataError:
        # A recipe that trains nothing needs none; a step that trains says what is wrong.
        return data


def _footprint_of(entry: dict[str, Any]) -> Footprint:
    from edgecompress.compress.score import Score

    facts = dict(entry["after"])
    for name in ("keras", "tflite"):
        facts[name] = None if facts[name] is None else Score(**facts[name])
    return Footprint(**facts)
