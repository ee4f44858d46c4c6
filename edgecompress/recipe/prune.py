"""Settings of the pass `prune`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Share, Training


class PruneSettings(Training):
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
    exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> PruneSettings:
        if self.begin > self.end:
            raise ValueError(f"begin ({self.begin}) must not be after end ({self.end})")
        if self.initial_sparsity > self.sparsity:
            raise ValueError(f"initial_sparsity ({self.initial_sparsity}) must not be above sparsity ({self.sparsity})")
        return self
