"""Settings of the pass `bits`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Count, Names, StepSettings, Training

Bits = Annotated[int, Field(ge=2, le=8)]


class MixedBits(StepSettings):
    """Bits for each layer, by measured sensitivity under one budget: `average` or `bytes`.

    Attributes:
        average: bits a weight, over all layers together.
        bytes: of the packed weights with their codebooks.
        lowest, highest: bits that a layer may get.
        samples: validation samples (calibration inputs, without labels) that each trial reads, at most.
    """

    average: Annotated[float, Field(ge=2.0, le=8.0)] | None = None
    bytes: Count | None = None
    lowest: Bits = 2
    highest: Bits = 8
    samples: Count = 512

    @model_validator(mode="after")
    def _check(self) -> MixedBits:
        if (self.average is None) == (self.bytes is None):
            raise ValueError("mixed takes one budget: average or bytes")
        if self.lowest > self.highest:
            raise ValueError(f"lowest ({self.lowest}) must not be above highest ({self.highest})")
        if self.average is not None and self.average < self.lowest:
            raise ValueError(f"an average of {self.average} bits cannot be reached with at least {self.lowest} bits a layer")
        return self


class BitsSettings(Training):
    """Weights of few bits, chosen after folding, in units of each channel's int8 scale.

    | method  | levels, of a scale of each channel                                                                  |
    |---------|-----------------------------------------------------------------------------------------------------|
    | uniform | 127 k / (2^(bits - 1) - 1), k = -(2^(bits - 1) - 1) ... 2^(bits - 1) - 1, rounded                    |
    | ternary | -127, 0, 127; scale minimizing the squared error (Li et al. 2016, equation 3)                       |
    | binary  | -127, 127; scale = mean of abs(w) / 127 (Rastegari et al. 2016, equation 6)                         |
    | log     | 0 and +-127 / base^k, k = 0 ... 2^(bits - 1) - 2, rounded (Miyashita et al. 2016, section 3)        |

    Attributes:
        bits: of uniform and log.
        base: of log; 2 for powers of two.
        clip: where uniform and log weights saturate, as a share of each channel's largest: `mse` takes the share with the smallest
            squared error, `max` is 1.
        mixed: choose the bits of each layer instead (uniform and log).
        exclude: layers that keep their weights.
    """

    kind: Annotated[Literal["bits"], Field(alias="pass")] = "bits"
    method: Literal["uniform", "ternary", "binary", "log"] = "uniform"
    bits: Bits = 4
    base: Annotated[float, Field(ge=1.05, le=16.0)] = 2.0
    clip: Literal["mse", "max"] | Annotated[float, Field(gt=0.0, le=1.0)] = "mse"
    mixed: MixedBits | None = None
    exclude: Names = ()

    @model_validator(mode="after")
    def _check(self) -> BitsSettings:
        # By value, not by what was written: a report's recipe, where defaults are spelled out, is a recipe again.
        changed = [name for name in ("bits", "base", "clip", "mixed") if getattr(self, name) != type(self).model_fields[name].default]
        if self.method in ("ternary", "binary") and changed:
            raise ValueError(f"{changed[0]} has no meaning for method {self.method!r}")
        if self.method == "uniform" and "base" in changed:
            raise ValueError("base belongs to method 'log'")
        if self.mixed is not None and "bits" in changed:
            raise ValueError("bits and mixed exclude each other: mixed chooses the bits")
        return self
