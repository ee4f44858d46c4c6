"""Settings of the pass `lowrank`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Count, Names, Training

_KeptShare = Annotated[float, Field(gt=0.0, le=1.0)]
_LeftShare = Annotated[float, Field(gt=0.0, lt=1.0)]


class LowRankSettings(Training):
    """Kernels replaced by products of smaller ones, then fine-tuned.

    One of `energy`, `ratio` and `budget` says how far to go.

    Attributes:
        method: how a convolution is split; `auto` takes for each layer the split that loses least for its multiply-accumulates, among
            spatial, channel and Tucker-2. Dense layers and 1x1 convolutions always split in two (SVD).
        energy: share of each kernel's energy (sum of squared singular values) that stays; the cheapest ranks that keep it are taken.
        ratio: share of each layer's multiply-accumulates that may stay; the ranks that lose least within it are taken.
        budget: share of the whole model's `budget_of` that may stay; ranks are distributed over the layers so that the least energy is
            lost for what is saved.
        budget_of: multiply-accumulates, or parameters.
        criterion: what a lost rank is measured by: energy of the `kernel`, or of the layer's `responses` to calibration data (SVD and
            channel splits only).
        samples: calibration inputs that `responses` reads, at most.
        multiple_of: every rank is a multiple of this, or the full one.
        sweeps: of HOOI (Tucker-2) and alternating least squares (CP), at most.
        exclude: layers to leave whole.
    """

    kind: Annotated[Literal["lowrank"], Field(alias="pass")] = "lowrank"
    method: Literal["auto", "spatial", "channel", "tucker", "cp"] = "auto"
    energy: _KeptShare | None = None
    ratio: _LeftShare | None = None
    budget: _LeftShare | None = None
    budget_of: Literal["macs", "parameters"] = "macs"
    criterion: Literal["kernel", "responses"] = "kernel"
    samples: Count = 256
    multiple_of: Count = 4
    sweeps: Count = 50
    exclude: Names = ()

    @model_validator(mode="after")
    def _check(self) -> LowRankSettings:
        if sum(goal is not None for goal in (self.energy, self.ratio, self.budget)) != 1:
            raise ValueError("lowrank takes one of energy, ratio and budget")
        if self.criterion == "responses" and self.method not in ("auto", "channel"):
            raise ValueError(f"criterion 'responses' weighs output channels: it goes with method 'channel' or 'auto', not {self.method!r}")
        return self
