"""What was asked of compression: an ordered list of steps, read from TOML.

    [[step]]
    pass = "prune"
    sparsity = 0.8

Each pass has one settings class in this room; a key that the pass does not know is an error, as is a value out of range.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from edgecompress.errors import RecipeError
from edgecompress.recipe.base import StepSettings
from edgecompress.recipe.bits import BitsSettings
from edgecompress.recipe.cluster import ClusterSettings
from edgecompress.recipe.distill import DistillSettings, FuseSettings
from edgecompress.recipe.lowrank import LowRankSettings
from edgecompress.recipe.order import first_conflict
from edgecompress.recipe.prune import PruneSettings
from edgecompress.recipe.quantize import QuantizeSettings
from edgecompress.recipe.regularize import RegularizeSettings
from edgecompress.recipe.replace import ReplaceSettings, StudentSettings
from edgecompress.recipe.shrink import ShrinkSettings
from edgecompress.recipe.transformer import TransformerSettings
from edgecompress.validation import first_problem, reason

Settings = Annotated[
    BitsSettings
    | ClusterSettings
    | DistillSettings
    | FuseSettings
    | LowRankSettings
    | PruneSettings
    | QuantizeSettings
    | RegularizeSettings
    | ReplaceSettings
    | ShrinkSettings
    | StudentSettings
    | TransformerSettings,
    Field(discriminator="kind"),
]
"""The settings of one step; its pass tells which."""


def _name(step: Settings) -> str:
    """The pass, as the table of orders knows it: new activations alone leave every weight where it is."""
    return "replace activations" if isinstance(step, ReplaceSettings) and step.convolution is None else step.kind


class Recipe(StepSettings):
    """Ordered steps; the last one is `quantize`, and there is only one of it.

    Attributes:
        seed: of Python, numpy and TensorFlow; step n starts from seed + n.
        deterministic: TensorFlow's deterministic ops, so that the same inputs give the same bits in every run with as many threads.
        strategy: the tf.distribute strategy that training runs under: one device (`single`), or all GPUs of this machine, and without
            one all logical CPU devices (`mirrored`). Keras 3's `fit` does not train over several machines.
    """

    step: Annotated[tuple[Settings, ...], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)] = 0
    deterministic: bool = True
    strategy: Literal["single", "mirrored"] = "single"

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        conflict = first_conflict([_name(step) for step in self.step])
        if conflict:
            raise ValueError(conflict)
        patterned = next((place for place, step in enumerate(self.step, 1) if _has_pattern(step)), len(self.step))
        for place, step in enumerate(self.step[patterned:], patterned + 1):
            if _moves_channels(step):
                raise ValueError(
                    f"step {place} ({step.kind}) cannot follow step {patterned} (prune with a pattern): "
                    "channels that go shift the groups of those that stay; prune after it"
                )
        return self

    @property
    def quantize(self) -> QuantizeSettings:
        """The closing quantize step; post-training int8 when the recipe names none."""
        last = self.step[-1]
        return last if isinstance(last, QuantizeSettings) else QuantizeSettings()


def _has_pattern(step: Settings) -> bool:
    return isinstance(step, PruneSettings) and step.weight_pattern is not None


def _moves_channels(step: Settings) -> bool:
    """Whether a step takes channels out, so that the others move up."""
    match step:
        case ShrinkSettings():
            return step.remove == "channels"
        case RegularizeSettings():
            return step.removes_channels
        case _:
            return isinstance(step, TransformerSettings)


BUILT_IN = ("small", "fast", "tiny")
"""Recipes that come with the package: `small` for the smallest download, `fast` for the fewest instructions, `tiny` for both."""

_FOLDER = Path(__file__).parent / "built_in"

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
        hint = f"give the path of a recipe in TOML, or a built-in one: {', '.join(BUILT_IN)}"
        raise RecipeError(f"{path}: cannot be read: {reason(e)}", hint=hint) from e
    return parse_recipe(text, str(path))


def find_recipe(name: Path | str) -> Recipe:
    """A built-in recipe by its name (a file of that name comes first), or the recipe in a file.

    Raises:
        RecipeError: see `read_recipe`.
    """
    path = Path(name)
    if str(name) in BUILT_IN and not path.exists():
        return parse_recipe((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"), f"recipe {name}")
    return read_recipe(path)


def parse_recipe(text: str, where: str) -> Recipe:
    """The recipe in TOML text; `where` names it in errors."""
    hint = 'a recipe is a list of [[step]] tables, each with pass = "prune" or another and that pass\'s settings: see docs/recipes.md'
    try:
        facts = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RecipeError(f"{where}: is not TOML: {e}", hint=hint) from e
    if "step" not in facts and "steps" in facts:
        raise RecipeError(f"{where}: steps: there is no such setting; a step is a table [[step]]", hint=hint)
    if isinstance(facts.get("step"), list):
        # TOML arrays are lists; the frozen settings hold tuples, and strict validation tells them apart.
        facts["step"] = _with_tuples(facts["step"])
    try:
        return Recipe.model_validate(facts)
    except ValidationError as e:
        raise RecipeError(f"{where}: {first_problem(e)}", hint=hint) from e


def _with_tuples(value: object) -> object:
    if isinstance(value, list):
        return tuple(_with_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return value
