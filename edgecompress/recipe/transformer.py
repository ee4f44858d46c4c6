"""Settings of the pass `transformer`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Count, Names, Training

_KeptShare = Annotated[float, Field(gt=0.0, le=1.0)]


class TransformerSettings(Training):
    """Attention heads and feed-forward units removed, then fine-tuned.

    Attributes:
        heads: share of attention heads that stay; every layer keeps at least one.
        width: share of the units between the two Dense layers of each feed-forward block that stay.
        saliency: what goes first: the smallest L1 norm of the output weights of a head or unit, or the smallest first-order Taylor
            |w dL/dw| of them, which reads training data.
        scope: the shares hold in each layer (`layer`), or over all layers together (`global`: scores are divided by each layer's L2 norm).
        multiple_of: the width that stays is rounded up to a multiple of this.
        samples: training samples that `taylor` reads, at most.
        exclude: layers to leave whole; a feed-forward block goes by its first Dense layer.
    """

    kind: Annotated[Literal["transformer"], Field(alias="pass")] = "transformer"
    heads: _KeptShare = 1.0
    width: _KeptShare = 1.0
    saliency: Literal["l1", "taylor"] = "l1"
    scope: Literal["layer", "global"] = "layer"
    multiple_of: Count = 4
    samples: Count = 256
    exclude: Names = ()

    @model_validator(mode="after")
    def _check(self) -> TransformerSettings:
        if self.heads == self.width == 1.0:
            raise ValueError("transformer removes nothing: set heads or width below 1")
        return self
