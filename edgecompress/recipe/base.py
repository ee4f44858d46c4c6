"""What every step of a recipe has in common: frozen, checked settings, and how a step trains."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edgecompress.recipe.teacher import DistillLoss


class StepSettings(BaseModel):
    """Settings of one step; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Epochs = Annotated[int, Field(ge=0, le=100_000)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
LearningRate = Annotated[float, Field(gt=0.0, le=10.0)]
Count = Annotated[int, Field(ge=1)]
Names = tuple[str, ...]


class Training(StepSettings):
    """How a step trains: Adam, whose rate falls along half a cosine to 0 at the last optimizer step.

    Attributes:
        epochs: passes over the training data; 0 trains nothing.
        batch_size: samples an optimizer step; a stream of batches keeps its own.
        learning_rate: at the first step.
        distill: a teacher whose outputs are learned as well; None for the labels alone.
    """

    epochs: Epochs = 4
    batch_size: Count = 32
    learning_rate: LearningRate = 1e-3
    distill: DistillLoss | None = None
