"""Settings of the pass `cluster`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Names, Training


class ClusterSettings(Training):
    """Weights that share few values: k-means after folding, in units of each channel's int8 scale (Han et al. 2016, section 3).

    A codebook holds -127 and 127, and 0 where the kernel has zeros; the other levels minimize the sum of (w / scale - level)^2.

    Attributes:
        clusters: distinct int8 values that a layer's .tflite weights have at most; `all` leaves every int8 value and only ties or
            shares.
        scope: one codebook for a `layer`, or one for each output `channel`.
        start: of k-means: `linear`, evenly spaced; `density`, equal shares of the weights; `kmeans++` (Arthur and Vassilvitskii 2007).
        train_levels: whether levels move in training: `together`, by the sum of their weights' gradients, or stay `fixed`.
        tie_filters: filters f, g of a layer with || f / |f| - g / |g| || at most this share their integers; None ties none.
        share_layers: groups of layers of one shape; in each, all layers become the first one.
        exclude: layers that keep their weights.
    """

    kind: Annotated[Literal["cluster"], Field(alias="pass")] = "cluster"
    clusters: Annotated[int, Field(ge=2, le=255)] | Literal["all"] = 16
    scope: Literal["layer", "channel"] = "layer"
    start: Literal["linear", "density", "kmeans++"] = "density"
    train_levels: Literal["together", "fixed"] = "together"
    tie_filters: Annotated[float, Field(gt=0.0, le=2.0)] | None = None
    share_layers: tuple[Names, ...] = ()
    exclude: Names = ()

    @model_validator(mode="after")
    def _check(self) -> ClusterSettings:
        if self.clusters == "all" and self.tie_filters is None and not self.share_layers:
            raise ValueError("clusters = 'all' without tie_filters or share_layers leaves nothing to do")
        named = [name for group in self.share_layers for name in group]
        if any(len(group) < 2 for group in self.share_layers) or len(set(named)) != len(named):
            raise ValueError("share_layers takes groups of two layers or more, each layer in one group")
        return self
