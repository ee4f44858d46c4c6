"""Learning from a teacher as the fine-tuning loss of a step; the step `distill` has more of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class DistillLoss(BaseModel):
    """A teacher's outputs as a second target.

    loss = (1 - weight) * task + weight * T^2 * KL(softmax(teacher / T) || softmax(student / T))  (Hinton, Vinyals and Dean 2015, section 2)

    Attributes:
        teacher: "original", the model that the recipe began with, or the path of a .keras file.
        temperature: T, of both softmaxes.
        weight: of the teacher against the labels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    teacher: str = "original"
    temperature: Annotated[float, Field(gt=0.0, le=1000.0)] = 4.0
    weight: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
