"""Settings of the pass `prune`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Count, Names, Share, StepSettings, Training
from edgecompress.recipe.saliency import READS, Reads, SaliencySettings, Unit, missing_criterion


@dataclass(frozen=True)
class GroupPattern:
    """N:M: at most `kept` weights of each `of` neighbours along the inputs are not zero."""

    kept: int
    of: int

    @property
    def sparsity(self) -> float:
        return 1.0 - self.kept / self.of


@dataclass(frozen=True)
class BlockPattern:
    """OxI: weights live and go in blocks of `outputs` neighbouring outputs times `inputs` neighbouring inputs."""

    outputs: int
    inputs: int


Pattern = GroupPattern | BlockPattern

_ANY = "any"
_LARGEST = 64


def parse_pattern(text: str) -> Pattern | None:
    """The pattern that "2:4" or "1x4" means; None for "any".

    Raises:
        ValueError: it means none.
    """
    if text == _ANY:
        return None
    match = re.fullmatch(r"(\d{1,2})([:x])(\d{1,2})", text)
    if match is None:
        raise ValueError(f"pattern {text!r} is none; expected 'any', N:M such as '2:4', or OUTPUTSxINPUTS such as '1x4'")
    first, second = int(match[1]), int(match[3])
    if match[2] == ":":
        if not 1 <= first < second <= _LARGEST:
            raise ValueError(f"pattern {text!r} keeps {first} of {second} weights; expected N:M with 1 <= N < M <= {_LARGEST}")
        return GroupPattern(first, second)
    if not (1 <= first <= _LARGEST and 1 <= second <= _LARGEST and first * second > 1):
        raise ValueError(
            f"pattern {text!r} is no block; expected 1 to {_LARGEST} outputs x 1 to {_LARGEST} inputs, and more than one weight"
        )
    return BlockPattern(first, second)


class NewHead(StepSettings):
    """The layer that a new task replaces.

    Attributes:
        layer: path of a Dense or convolution layer at the model's top level; its weights start anew and none is pruned.
        units: its new number of outputs; None for as many as before.
    """

    layer: str
    units: Count | None = None


class PruneSettings(Training, SaliencySettings):
    """Weights to zero, while training or at once.

    The goal is one of `sparsity`, `threshold`, or an N:M `pattern`.

    `one_shot` reaches it before the first step; `constant` at `begin`; `polynomial` from `begin` to `end` along
    s(t) = s_f + (s_i - s_f) * (1 - (t - t_0) / (t_1 - t_0)) ** power (Zhu and Gupta 2017, equation 1); `iterative` prunes the same share of
    what is left at the start of each of `rounds` equal parts of the training, s(r) = 1 - (1 - s_f) ** (r / rounds).

    Attributes:
        sparsity: share of weights that end at zero, 0 <= s < 1.
        threshold: weights with a lower saliency go; with order `high_first` those with a higher one.
        threshold_scaling: `absolute`: the threshold as it is; `layer_size`: threshold / sqrt(m n) for a kernel of m inputs and n outputs.
        scope: one ranking for all prunable layers together (`global`), or one each (`layer`).
        pattern: "any"; "N:M"; "OxI": blocks.
        begin, end: where in the fine-tuning the schedule starts and reaches its goal, as shares of all steps.
        every: steps between two updates of the masks.
        rounds: of `iterative`.
        include: names of the only layers to prune; empty for all.
        exclude: names of layers that keep all their weights.
        new_head: a layer that starts anew for the labels of a new task.
        seed: of saliency `random`.
    """

    kind: Annotated[Literal["prune"], Field(alias="pass")] = "prune"
    sparsity: Share | None = None
    threshold: Annotated[float, Field(gt=0.0)] | None = None
    threshold_scaling: Literal["absolute", "layer_size"] = "absolute"
    schedule: Literal["polynomial", "constant", "one_shot", "iterative"] = "polynomial"
    initial_sparsity: Share = 0.0
    power: Annotated[float, Field(gt=0.0, le=100.0)] = 3.0
    scope: Literal["global", "layer"] = "global"
    pattern: str = _ANY
    begin: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    end: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    every: Count = 10
    rounds: Count = 4
    include: Names = ()
    exclude: Names = ()
    new_head: NewHead | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _check(self) -> PruneSettings:
        self._check_goal()
        if self.begin > self.end:
            raise ValueError(f"begin ({self.begin}) must not be after end ({self.end})")
        if self.initial_sparsity > self.goal:
            raise ValueError(f"initial_sparsity ({self.initial_sparsity}) must not be above sparsity ({self.goal})")
        problem = missing_criterion(self.saliency, Unit.WEIGHT)
        if problem:
            raise ValueError(problem)
        if READS[self.saliency] is Reads.TRAINING and (self.epochs == 0 or self.schedule == "one_shot"):
            raise ValueError(f"saliency {self.saliency.value!r} compares weights with those before training; schedule it while training")
        if self.new_head is not None and self.epochs == 0:
            raise ValueError("new_head starts a layer anew, which epochs = 0 would never train")
        return self

    def _check_goal(self) -> None:
        if self.sparsity is None and self.scope == "layer":
            raise ValueError("scope ranks weights for a sparsity; a threshold and an N:M pattern hold in every layer anyway")
        is_group = isinstance(self.weight_pattern, GroupPattern)
        given = [self.sparsity is not None, self.threshold is not None, is_group]
        if sum(given) != 1:
            raise ValueError(
                f"give one of sparsity, threshold and an N:M pattern; {sum(given)} came"
                if sum(given)
                else "sparsity is missing: give it, or a threshold, or an N:M pattern"
            )

    @property
    def weight_pattern(self) -> Pattern | None:
        """`pattern`, parsed."""
        return parse_pattern(self.pattern)

    @property
    def goal(self) -> float:
        """The share that the schedule ends at: of zeros, or 1 for the whole threshold."""
        pattern = self.weight_pattern
        if isinstance(pattern, GroupPattern):
            return pattern.sparsity
        return 1.0 if self.sparsity is None else self.sparsity
