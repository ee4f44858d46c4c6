"""Settings of the passes `replace`, which exchanges layers for cheaper ones, and `student`, which exchanges the whole model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgecompress.recipe.base import Count, Epochs, Names, StepSettings, Training
from edgecompress.recipe.teacher import DistillLoss

CheapActivation = Literal["relu", "relu6", "leaky_relu", "hard_swish", "hard_sigmoid"]
"""What int8 runtimes compute without a table of exponentials."""


class ActivationTable(StepSettings):
    """What each activation becomes; None leaves it.

    Attributes:
        silu: x * sigmoid(x), also written swish; the closest is hard_swish.
        gelu: x * Phi(x), exact or approximate; hard_swish.
        mish: x * tanh(softplus(x)); hard_swish.
        elu, selu, celu: relu or leaky_relu.
        softplus: log(1 + exp(x)); relu.
        hard_swish: relu, for an engine that lacks it.
        leaky_relu, prelu: relu, which every runtime fuses.
        sigmoid: hard_sigmoid, inside the network only: the model's outputs keep theirs.
    """

    silu: CheapActivation | None = None
    gelu: CheapActivation | None = None
    mish: CheapActivation | None = None
    elu: CheapActivation | None = None
    selu: CheapActivation | None = None
    celu: CheapActivation | None = None
    softplus: CheapActivation | None = None
    hard_swish: CheapActivation | None = None
    leaky_relu: CheapActivation | None = None
    prelu: CheapActivation | None = None
    sigmoid: CheapActivation | None = None


class ReplaceSettings(Training):
    """Convolutions and activations exchanged for cheaper ones that start from the trained weights, then fine-tuned.

    Attributes:
        convolution: what a k x k convolution becomes; None leaves all.
        layers: which convolutions; empty for all whose multiply-accumulates fall.
        exclude: layers, or models around them, that stay as they are; also their activations.
        multiplier: filters for each input channel of a `separable` one.
        groups: of a `grouped` one; layers whose channels they do not divide are left and named.
        channels: how a `grouped` one's channels are dealt to the groups: `in_order`, or `permuted` to keep the most of the kernel where
            the layers around can take up the new order, so that no operator is added.
        mixing: `none`, or `shuffle`: a channel shuffle behind each `grouped` one, so that groups do not stay among themselves.
        width: inner channels of a `bottleneck` as a share of the layer's inputs (first 1x1) and outputs (last 1x1).
        activations: what each activation becomes.
    """

    kind: Annotated[Literal["replace"], Field(alias="pass")] = "replace"
    convolution: Literal["separable", "grouped", "bottleneck"] | None = None
    layers: Names = ()
    exclude: Names = ()
    multiplier: Count = 1
    groups: Annotated[int, Field(ge=2)] = 4
    channels: Literal["in_order", "permuted"] = "permuted"
    mixing: Literal["none", "shuffle"] = "none"
    width: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    activations: ActivationTable = ActivationTable()

    @model_validator(mode="after")
    def _check(self) -> ReplaceSettings:
        if self.convolution is None and self.activations == ActivationTable():
            raise ValueError('nothing to replace: give convolution = "separable", "grouped" or "bottleneck", or a table of activations')
        if self.convolution is None and self.layers:
            raise ValueError("layers names convolutions: give convolution as well")
        return self


class StudentSettings(Training):
    """A small model of a known family in place of the model, trained from new weights, by default with the original as its teacher.

    Attributes:
        family: the architecture; each is a function of `edgecompress.compress.student.families`.
        width: factor on the channels of every layer.
        depth: factor on the repetitions of every stage, at least one each.
        groups: of ShuffleNet's pointwise convolutions.
        epochs: from new weights a student needs several times the epochs of a fine-tuning.
        distill: the teacher; an empty table takes the original, and `weight = 0.0` learns from the labels alone.
    """

    kind: Annotated[Literal["student"], Field(alias="pass")] = "student"
    family: Literal["mobilenet_v1", "mobilenet_v2", "shufflenet", "ds_cnn", "resnet8"]
    width: Annotated[float, Field(gt=0.0, le=8.0)] = 0.25
    depth: Annotated[float, Field(gt=0.0, le=8.0)] = 1.0
    groups: Annotated[int, Field(ge=1, le=8)] = 4
    epochs: Epochs = 20
    distill: DistillLoss | None = DistillLoss()
