"""Settings of the pass `regularize`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Epochs, LearningRate, Names, Share, Training


class RegularizeSettings(Training):
    """Training under a penalty that empties weights or channels, which then go.

    | method        | penalty R                                                        | ends at zero | source                             |
    |---------------|------------------------------------------------------------------|--------------|------------------------------------|
    | `l1`          | sum |w|                                                          | weights      | Tibshirani 1996                    |
    | `l2`          | sum w^2 / 2                                                      | weights      | Hoerl and Kennard 1970             |
    | `group_lasso` | sum over channels g of sqrt(n_g) ||w_g||_2                       | channels     | Yuan and Lin 2006; Wen et al. 2016 |
    | `l0`          | expected share of the weights whose channel's gate is not closed | channels     | Louizos, Welling, Kingma 2018      |

    l1, l2 and group_lasso take the proximal step w <- prox(learning_rate * strength * R)(w) after each step of Adam (Parikh and Boyd 2014),
    apart from the gradient as AdamW does (Loshchilov and Hutter 2019): in each step a weight moves towards zero by `strength` times the
    learning rate, where a steady gradient would move it by the learning rate. l0 adds `strength` times R to the loss.

    Attributes:
        strength: of the penalty.
        threshold: weights below this share of the largest |w| of their layer, or channels below this share of the largest norm, become
            zero at the end (not for l0, whose gates decide).
        dead_channels: of l1 and l2: whether channels whose weights have all become zero are taken out (`remove`), where that changes no
            output; the other methods always do.
        exclude: layers without penalty, whose weights and channels all stay.
        initial_closed: of l0: the probability with which a gate is closed at the start.
        gate_speed: of l0: how many times faster than the weights the gates learn.
    """

    kind: Annotated[Literal["regularize"], Field(alias="pass")] = "regularize"
    method: Literal["l1", "l2", "group_lasso", "l0"]
    strength: Annotated[float, Field(gt=0.0)] = 0.1
    threshold: Share = 1e-3
    epochs: Annotated[Epochs, Field(ge=1)] = 4
    learning_rate: LearningRate = 1e-3
    dead_channels: Literal["keep", "remove"] = "keep"
    exclude: Names = ()
    initial_closed: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    gate_speed: Annotated[float, Field(gt=0.0)] = 30.0

    @model_validator(mode="after")
    def _check(self) -> RegularizeSettings:
        if self.dead_channels == "remove" and self.method not in ("l1", "l2"):
            raise ValueError(f"dead_channels is for l1 and l2: {self.method} takes the channels out that it empties")
        return self

    @property
    def removes_channels(self) -> bool:
        """Whether channels go, so that the others move up."""
        return self.method in ("group_lasso", "l0") or self.dead_channels == "remove"
