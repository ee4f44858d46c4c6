"""A .keras file, a recipe and data in; model.tflite and report.json out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecompress.artifact import Engine
from edgecompress.errors import ModelError
from edgecompress.files import check_writable, replacing, staging, write_bytes, write_text
from edgecompress.progress import Progress, silent
from edgecompress.recipe import DEFAULT_RECIPE, QuantizeSettings, Recipe, find_recipe

if TYPE_CHECKING:
    from edgecompress.compress import CompressResult

FAKE_QUANT = "fake_quant.keras"
STEPS = "steps.partial"
"""Folder of an unfinished run's steps, inside the output folder."""


@dataclass(frozen=True)
class StepSummary:
    """One step of the recipe, measured after it: of the model converted to int8.

    Attributes:
        name: the pass.
        score: on the validation data, of that .tflite.
    """

    name: str
    parameters: int | None
    macs: int | None
    zeros: float | None
    tflite_bytes: int | None
    gzip_bytes: int | None
    score: float | None
    seconds: float | None


@dataclass(frozen=True)
class CompressSummary:
    """What was written, and what became of the model.

    Attributes:
        fake_quant: the Keras model just before conversion, for `verify --keras`; None unless it was trained quantization-aware.
        metric: of `before` (the Keras model that came in) and `after` (the .tflite), on the validation data; None when its labels
            allow none.
        steps: what each step did; the first entry, "before", is the model that came in.
        resumed: how many of them an interrupted run had finished.
        remark: what could not be measured of the result, and why; empty when all was.
        lacking: by engine, why it cannot run the model (the first op that it lacks, with the way out); empty when all can.
    """

    model: Path
    report: Path
    fake_quant: Path | None
    tflite_bytes: int
    gzip_bytes: int
    metric: str | None
    before: float | None
    after: float | None
    steps: Sequence[StepSummary] = ()
    resumed: int = 0
    remark: str = ""
    lacking: Mapping[str, str] = field(default_factory=dict)


def compress(
    model: Path,
    *,
    data: str,
    output: Path,
    recipe: Path | str | None = None,
    name: str | None = None,
    allow_float: tuple[str, ...] = (),
    progress: Progress = silent,
) -> CompressSummary:
    """Compress a Keras model by a recipe and write it as a .tflite.

    A run that was interrupted goes on after its last finished step when it is asked for again.

    Args:
        model: a .keras file; it is loaded in safe mode.
        data: FILE.py:FUNCTION, a function that returns train, validation and calibration data. It runs with the user's rights.
        output: the folder for NAME.tflite, report.json and, after quantization-aware training, fake_quant.keras.
        recipe: ordered steps in TOML, or the name of a built-in recipe: small, fast or tiny; post-training int8 when None.
        name: of the .tflite, "model" when None.
        allow_float: layers that may stay float, besides those of the recipe.

    Raises:
        ModelError, RecipeError, DataError: the input is wrong.
        OutputError: the folder cannot be written; known before any training.

    Example:
        >>> edgecompress.compress(Path("digits.keras"), data="data.py:load", output=Path("out")).model
        PosixPath('out/model.tflite')
    """
    steps = _with_allowed(DEFAULT_RECIPE if recipe is None else find_recipe(recipe), allow_float)
    check_writable(output)
    from edgecompress.compress import Checkpoints, check_keras_file, load_data, load_keras, set_seeds
    from edgecompress.compress import compress as apply_recipe

    progress("load", 0, None)
    check_keras_file(model)
    # The data file comes first: it may define layers that the model uses. It may draw random numbers, too.
    set_seeds(steps.seed)
    samples = load_data(data)
    checkpoints = Checkpoints(output / STEPS)
    result = apply_recipe(load_keras(model), steps, samples, progress=progress, checkpoints=checkpoints)
    summary = write_result(result, steps, output, name or "model")
    checkpoints.remove()
    return summary


def write_result(result: CompressResult, recipe: Recipe, output: Path, name: str) -> CompressSummary:
    """Write what a compression gave into the folder `output`."""
    model, report = output / f"{name}.tflite", output / "report.json"
    fake_quant = output / FAKE_QUANT if recipe.quantize.method == "qat" else None
    with staging(output) as folder:
        write_bytes(folder / model.name, result.model_bytes)
        write_text(folder / report.name, json.dumps(result.report, indent=1) + "\n")
        if fake_quant is not None:
            save_keras(result.keras_model, folder / fake_quant.name)
    score = result.report["score"] or {}
    return CompressSummary(
        model=model,
        report=report,
        fake_quant=fake_quant,
        tflite_bytes=result.report["tflite_bytes"],
        gzip_bytes=result.report["gzip_bytes"],
        metric=score.get("metric"),
        before=score.get("keras"),
        after=score.get("tflite"),
        steps=_step_summaries(result.report["steps"]),
        resumed=result.resumed,
        remark=result.report["steps"][-1]["after"]["remark"],
        lacking=_lacking(result.model_bytes) if recipe.quantize.mode in ("int8", "int16x8") else {},
    )


def _step_summaries(entries: Sequence[Mapping[str, Any]]) -> tuple[StepSummary, ...]:
    measured = [("before", entries[0]["before"], None), *((entry["pass"], entry["after"], entry["seconds"]) for entry in entries)]
    return tuple(
        StepSummary(
            name=name,
            parameters=facts["parameters"],
            macs=facts["macs"],
            zeros=facts["zeros"] / facts["weights"] if facts["weights"] else None,
            tflite_bytes=facts["tflite_bytes"],
            gzip_bytes=facts["gzip_bytes"],
            score=None if facts["tflite"] is None else facts["tflite"]["value"],
            seconds=seconds,
        )
        for name, facts, seconds in measured
    )


def _lacking(model: bytes) -> dict[str, str]:
    """Why an engine cannot run this model, known before anybody builds it."""
    from edgecompress.codegen import check_supported
    from edgecompress.convert import read_tflite

    found = {}
    for engine in (Engine.AOT, Engine.TFLM):
        try:
            check_supported(read_tflite(model, name="model"), engine)
        except ModelError as e:
            found[engine.value] = f"{e.message}; {e.hint}" if e.hint else e.message
    return found


def save_keras(model: object, path: Path) -> None:
    """Write a Keras model as `path`, whole or not at all."""
    with replacing(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        # Keras wants the ending .keras, which a temporary name beside `path` does not have.
        saved = Path(folder) / "model.keras"
        model.save(saved)  # type: ignore[attr-defined]  # Keras ships without types
        saved.replace(temporary)


def _with_allowed(recipe: Recipe, allow_float: tuple[str, ...]) -> Recipe:
    """The recipe, its quantize step allowing these layers as well."""
    if not allow_float:
        return recipe
    quantize = recipe.quantize.model_copy(update={"allow_float": recipe.quantize.allow_float + allow_float})
    steps = tuple(step for step in recipe.step if not isinstance(step, QuantizeSettings))
    return recipe.model_copy(update={"step": (*steps, quantize)})
