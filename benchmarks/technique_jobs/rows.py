"""The rows of a table, read from TOML: where each starts, its recipe, and what it is meant to reach.

[[row]]
name = "prune 60 %, QAT"
goal = { drop = 2.0, gzip_of_int8 = 0.66 }
[[row.step]]
pass = "prune"
sparsity = 0.6
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from edgecompress.errors import RecipeError
from edgecompress.recipe import QuantizeSettings, Recipe, Settings, Training
from edgecompress.recipe.base import StepSettings
from edgecompress.validation import first_problem

FLOAT, INT8 = "float", "int8"
"""The rows that the others are compared with: the fine-tuned float network, and the same in plain int8."""

_FLOAT32 = QuantizeSettings(mode="float32")


class Goal(StepSettings):
    """Limits that a row is meant to keep; None is no limit.

    Attributes:
        drop: points of accuracy below the row `float`.
        gzip_of_int8, instructions_of_int8: shares of the row `int8`.
        packed: share of int8's bytes that the kernels take as indices into codebooks.
        smaller_than_float: times that the gzipped .tflite is smaller than that of the row `float`.
        above: name of a row whose accuracy is lower.
    """

    drop: float | None = None
    gzip_of_int8: float | None = None
    instructions_of_int8: float | None = None
    packed: float | None = None
    smaller_than_float: float | None = None
    above: str | None = None


class Row(StepSettings):
    """One row.

    Attributes:
        start: `published`, the network where float training begins; `float`, the result of the row `float`; `fresh`, the network that
            `shape` makes of that, with new random weights.
        shape: steps that train nothing.
        train: plain training before the recipe.
        step: the recipe; a row without steps stays in float32.
        quick: one of those that --quick runs when none is named.
    """

    name: str
    start: Literal["published", "float", "fresh"] = "float"
    shape: tuple[Settings, ...] = ()
    train: Training | None = None
    step: tuple[Settings, ...] = ()
    goal: Goal = Goal()
    quick: bool = False

    @property
    def recipe(self) -> Recipe:
        return Recipe(step=self.step or (_FLOAT32,))

    @property
    def shape_recipe(self) -> Recipe:
        """Ends in float32, which leaves the network unfolded."""
        return Recipe(step=(*self.shape, _FLOAT32))

    @property
    def work(self) -> Row:
        """What is done; not what is hoped for, nor when."""
        return self.model_copy(update={"goal": Goal(), "quick": False})

    def quickly(self) -> Row:
        """The same row with one epoch at most in each step."""
        # What was not asked for stays out: some settings must not be said, even at their defaults.
        facts = json.loads(self.model_dump_json(by_alias=True, exclude_unset=True))
        if self.train is not None:
            facts["train"]["epochs"] = min(self.train.epochs, 1)
        for step, said in zip(self.step, facts.get("step", []), strict=True):
            if isinstance(step, Training):
                said["epochs"] = min(step.epochs, 1)
        return Row.model_validate_json(json.dumps(facts))


class _Table(StepSettings):
    row: Annotated[tuple[Row, ...], Field(min_length=1)]


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of one file, in its order; their names differ.

    Raises:
        RecipeError: naming the key and what was expected.
    """
    facts = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        # Through JSON, where an array may stand for a tuple under strict validation.
        rows = _Table.model_validate_json(json.dumps(facts)).row
    except ValidationError as e:
        raise RecipeError(f"{path}: {first_problem(e)}", hint="see docs/passes for the settings of each pass") from e
    names = [row.name for row in rows]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None or FLOAT not in names:
        raise RecipeError(f"{path}: {f'two rows are named {repeated!r}' if repeated else f'no row is named {FLOAT!r}'}")
    return rows
