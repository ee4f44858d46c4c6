"""Learning from a teacher: the sub-table `[step.distill]` that every step which trains may have.

    loss = (1 - weight) * task + weight * teacher + feature_weight * sum of features

| targets   | teacher term of an output that tells classes apart                                    | source                            |
|-----------|---------------------------------------------------------------------------------------|-----------------------------------|
| `soft`    | T^2 * KL(q || softmax(z / T)), q = sum_k a_k softmax(t_k / T)                          | Hinton, Vinyals, Dean 2015, 2     |
| `squared` | mean over classes of (z - sum_k a_k t_k)^2, both centred: softmax ignores a shift      | Ba and Caruana 2014, equation 1   |
| `hard`    | cross-entropy with the class that the teachers find likeliest                         | Lee 2013 (pseudo-labels)          |

z are the student's logits, t_k those of teacher k, a_k its share. Outputs that are no classes (regression) are learned by squared error.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ORIGINAL = "original"
"""As a teacher: the model that the recipe began with."""


def teacher_files(step: BaseModel) -> tuple[str, ...]:
    """The .keras files that a step's settings name as teachers, of its own or in its `distill` table."""
    named = (*getattr(getattr(step, "distill", None), "teachers", ()), *getattr(step, "teachers", ()))
    return tuple(name for name in named if name != ORIGINAL)


class FeaturePair(BaseModel):
    """Two layers whose outputs shall agree: mean of (r(student) - teacher)^2 (Romero et al. 2015, equation 3).

    r is a learned linear map of the channels (a 1x1 convolution without bias), used only where the channel counts differ, and thrown away
    after the training.

    Attributes:
        student: path of a layer of the model that trains ("block/conv").
        teacher: path of a layer of a teacher; all axes but the last must have the student's sizes.
        of: which teacher, counted from 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    student: str
    teacher: str
    of: Annotated[int, Field(ge=0)] = 0


class DistillLoss(BaseModel):
    """One or several teachers' outputs as a second target; see the module's table.

    Attributes:
        teacher: "original" (the model that the recipe began with) or the path of a .keras file; or a list of them.
        shares: a_k, how much each teacher counts; scaled to a sum of 1. Empty: all alike.
        targets: what is learned of the teachers' outputs.
        temperature: T of `soft`, for student and teachers.
        weight: of the teachers' outputs against the labels; 1 ignores the labels.
        features: pairs of layers whose outputs shall agree.
        feature_weight: of each pair.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    teacher: str | Annotated[tuple[str, ...], Field(min_length=1)] = ORIGINAL
    shares: tuple[Annotated[float, Field(gt=0.0)], ...] = ()
    targets: Literal["soft", "squared", "hard"] = "soft"
    temperature: Annotated[float, Field(gt=0.0, le=1000.0)] = 4.0
    weight: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    features: tuple[FeaturePair, ...] = ()
    feature_weight: Annotated[float, Field(ge=0.0)] = 1.0

    @model_validator(mode="after")
    def _check(self) -> DistillLoss:
        if self.shares and len(self.shares) != len(self.teachers):
            raise ValueError(f"shares has {len(self.shares)} entries for {len(self.teachers)} teachers")
        for pair in self.features:
            if pair.of >= len(self.teachers):
                raise ValueError(f"features: of = {pair.of}, but there are {len(self.teachers)} teachers, counted from 0")
        return self

    @property
    def teachers(self) -> tuple[str, ...]:
        """The teachers as a list, also of one."""
        return (self.teacher,) if isinstance(self.teacher, str) else self.teacher

    @property
    def normalized_shares(self) -> tuple[float, ...]:
        """a_k, one a teacher, with the sum 1."""
        shares = self.shares or (1.0,) * len(self.teachers)
        return tuple(share / sum(shares) for share in shares)
