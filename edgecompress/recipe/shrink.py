"""Settings of the pass `shrink`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Count, Epochs, Names, Share, Training
from edgecompress.recipe.saliency import SaliencySettings, Unit, missing_criterion

_LeftShare = Annotated[float, Field(gt=0.0, le=1.0)]


_OF_CHANNELS = ("saliency", "order", "normalize", "ranking", "scope", "refit")
"""Settings that mean nothing when whole blocks are removed."""


class ShrinkSettings(SaliencySettings, Training):
    """Channels or whole residual blocks removed, then fine-tuned.

    One of `amount`, `macs` and `parameters` says how far to go.

    Attributes:
        remove: filters, neurons and channels, or residual branches.
        amount: share of the removable channels (or blocks) that goes.
        macs, parameters: share of the model's multiply-accumulates or parameters that may stay.
        saliency: what a channel's importance is; a set of coupled channels has the sum of its members'.
        normalize: divide a layer family's scores by their mean before families are compared, or compare them as they are.
        ranking: the same share of every family (`layer`); the lowest score anywhere first (`global`); or the lowest score for what its
            removal saves first (`saving`).
        scope: all channels, or those only that no residual addition pairs (`internal`).
        multiple_of: every layer keeps a multiple of this many channels, or all of them.
        minimum: channels that every layer keeps at least.
        most: the largest share of channels that any layer loses.
        refit: solve the weights that read the channels anew, so that the layer behind gives what it gave before on calibration inputs.
        rounds: removals, each a part of the way; all but the last are followed by `round_epochs` of fine-tuning.
        saliency_samples: that a criterion, `refit` or the choice of blocks reads, at most.
        exclude: layers whose own channels stay, or that keep their block.
        seed: of saliency `random`.
    """

    kind: Annotated[Literal["shrink"], Field(alias="pass")] = "shrink"
    remove: Literal["channels", "blocks"] = "channels"
    amount: Share | None = None
    macs: _LeftShare | None = None
    parameters: _LeftShare | None = None
    normalize: Literal["mean", "none"] = "mean"
    ranking: Literal["layer", "global", "saving"] = "layer"
    scope: Literal["all", "internal"] = "all"
    multiple_of: Count = 4
    minimum: Count = 4
    most: Share = 0.8
    refit: Literal["none", "least_squares"] = "none"
    rounds: Count = 1
    round_epochs: Epochs = 1
    exclude: Names = ()
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _check(self) -> ShrinkSettings:
        if sum(goal is not None for goal in (self.amount, self.macs, self.parameters)) != 1:
            raise ValueError("shrink takes one of amount, macs and parameters")
        problem = missing_criterion(self.saliency, Unit.CHANNEL)
        if problem:
            raise ValueError(problem)
        if self.remove == "blocks":
            changed = [name for name in _OF_CHANNELS if getattr(self, name) != type(self).model_fields[name].default]
            if changed:
                raise ValueError(f"{changed[0]} ranks channels; blocks go by how much their branch adds to its shortcut")
        return self

    @property
    def goal(self) -> Literal["amount", "macs", "parameters"]:
        """Which of the three was set."""
        if self.macs is not None:
            return "macs"
        return "amount" if self.amount is not None else "parameters"

    @property
    def wish(self) -> float:
        """Its value."""
        return next(value for value in (self.amount, self.macs, self.parameters) if value is not None)

    @property
    def left(self) -> float:
        """The share that may stay."""
        return 1.0 - self.wish if self.goal == "amount" else self.wish
