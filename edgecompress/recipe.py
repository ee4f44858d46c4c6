"""What was asked of compression: an ordered list of steps, read from TOML.

    [[step]]
    pass = "prune"
    sparsity = 0.8

Each pass has one settings class here; a key that the pass does not know is an error, as is a value out of range.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgecompress.errors import RecipeError
from edgecompress.validation import first_problem, reason


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Epochs = Annotated[int, Field(ge=0, le=100_000)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
LearningRate = Annotated[float, Field(gt=0.0, le=10.0)]


class PruneSettings(_Settings):
    """Magnitude pruning while training.

    `polynomial` raises the sparsity from `initial_sparsity` to `sparsity` along
    s(t) = s_f + (s_i - s_f) * (1 - (t - t_0) / (t_1 - t_0)) ** power (Zhu and Gupta 2017, equation 1);
    `constant` applies `sparsity` at once.

    Attributes:
        sparsity: share of weights that end at zero, 0 <= s < 1.
        scope: one threshold for all prunable layers together (`global`), or one each (`layer`).
        begin, end: where in the fine-tuning the schedule starts and reaches `sparsity`, as shares of all steps.
        every: steps between two updates of the masks.
        exclude: names of layers that keep all their weights.
    """

    kind: Annotated[Literal["prune"], Field(alias="pass")] = "prune"
    sparsity: Share
    schedule: Literal["polynomial", "constant"] = "polynomial"
    initial_sparsity: Share = 0.0
    power: Annotated[float, Field(gt=0.0, le=100.0)] = 3.0
    scope: Literal["global", "layer"] = "global"
    begin: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    end: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    every: Annotated[int, Field(ge=1)] = 10
    epochs: Epochs = 4
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: LearningRate = 1e-3
    exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> PruneSettings:
        if self.begin > self.end:
            raise ValueError(f"begin ({self.begin}) must not be after end ({self.end})")
        if self.initial_sparsity > self.sparsity:
            raise ValueError(f"initial_sparsity ({self.initial_sparsity}) must not be above sparsity ({self.sparsity})")
        return self


class QuantizeSettings(_Settings):
    """Quantization and conversion; the last step of a recipe.

    Attributes:
        method: `qat` trains with fake-quant, `ptq` calibrates on the data function's calibration set.
        mode: what the .tflite holds.
        allow_float: names of layers that may stay float (`"*"`: any).
    """

    kind: Annotated[Literal["quantize"], Field(alias="pass")] = "quantize"
    method: Literal["qat", "ptq"] = "ptq"
    mode: Literal["int8", "int8_float_io", "int16x8", "dynamic_range", "float16", "float32"] = "int8"
    epochs: Epochs = 3
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: LearningRate = 1e-4
    allow_float: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> QuantizeSettings:
        if self.method == "qat" and self.mode not in ("int8", "int8_float_io"):
            raise ValueError(f"method 'qat' trains for int8; mode {self.mode!r} needs method 'ptq'")
        return self


Settings = Annotated[PruneSettings | QuantizeSettings, Field(discriminator="kind")]


class Recipe(_Settings):
    """Ordered steps; the last one is `quantize`, and there is only one of it."""

    step: Annotated[tuple[Settings, ...], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        kinds = [step.kind for step in self.step]
        if "quantize" in kinds[:-1]:
            raise ValueError("quantize must be the last step, and there can be only one")
        return self

    @property
    def quantize(self) -> QuantizeSettings:
        """The closing quantize step; post-training int8 when the recipe names none."""
        last = self.step[-1]
        return last if isinstance(last, QuantizeSettings) else QuantizeSettings()


DEFAULT_RECIPE = Recipe(step=(QuantizeSettings(),))
"""Post-training int8: what `compress` does without a recipe."""


def read_recipe(path: Path) -> Recipe:
    """The recipe in one TOML file.

    Raises:
        RecipeError: naming the step, the key and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise RecipeError(f"{path}: cannot be read: {reason(e)}", hint="give the path of a recipe in TOML") from e
    return parse_recipe(text, str(path))


def parse_recipe(text: str, where: str) -> Recipe:
    """The recipe in TOML text; `where` names it in errors."""
    hint = 'a recipe is a list of [[step]] tables, each with pass = "prune" or "quantize" and that pass\'s settings: see docs/recipes.md'
    try:
        facts = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RecipeError(f"{where}: is not TOML: {e}", hint=hint) from e
    if isinstance(facts.get("step"), list):
        # TOML arrays are lists; the frozen settings hold tuples, and strict validation tells them apart.
        facts["step"] = tuple(
            {k: tuple(v) if isinstance(v, list) else v for k, v in s.items()} if isinstance(s, dict) else s for s in facts["step"]
        )
    try:
        return Recipe.model_validate(facts)
    except ValidationError as e:
        raise RecipeError(f"{where}: {first_problem(e)}", hint=hint) from e
