"""Settings of the passes `distill` and `fuse`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Epochs, StepSettings, Training
from edgecompress.recipe.teacher import ORIGINAL, DistillLoss


class DistillSettings(Training):
    """Fine-tuning with a teacher, and nothing else; the same `[step.distill]` serves every other step that trains.

    Attributes:
        epochs: at least 1.
        distill: who teaches and what is learned (see `recipe.teacher`); the model that the recipe began with by default.
    """

    kind: Annotated[Literal["distill"], Field(alias="pass")] = "distill"
    epochs: Annotated[Epochs, Field(ge=1)] = 4
    distill: DistillLoss = DistillLoss()


class FuseSettings(StepSettings):
    """The model and its teachers side by side in one model, whose output is made of all of theirs; its size is that of all.

    | method | output                                                                                          |
    |--------|-------------------------------------------------------------------------------------------------|
    | `mean` | sum_k a_k y_k                                                                                   |
    | `vote` | sum_k a_k [class is likeliest of member k], ties decided by the mean (Kuncheva 2004, 4.2)       |

    Attributes:
        teacher: "original" or the path of a .keras file, or a list of them.
        shares: a_k, first of the model and then of each teacher; scaled to a sum of 1. Empty: all alike.
    """

    kind: Annotated[Literal["fuse"], Field(alias="pass")] = "fuse"
    teacher: str | Annotated[tuple[str, ...], Field(min_length=1)] = ORIGINAL
    shares: tuple[Annotated[float, Field(gt=0.0)], ...] = ()
    method: Literal["mean", "vote"] = "mean"

    @model_validator(mode="after")
    def _check(self) -> FuseSettings:
        if self.shares and len(self.shares) != 1 + len(self.teachers):
            raise ValueError(f"shares has {len(self.shares)} entries for the model and {len(self.teachers)} teachers")
        return self

    @property
    def teachers(self) -> tuple[str, ...]:
        """The teachers as a list, also of one."""
        return (self.teacher,) if isinstance(self.teacher, str) else self.teacher
