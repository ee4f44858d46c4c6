"""Which weights, neurons, channels and layers matter: the criteria by name, what each exists for, and what each reads.

Every criterion gives a number a unit; the units with the lowest go first. docs/passes/prune.md has the formulas and their sources.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from edgecompress.recipe.base import Count, StepSettings


class Unit(StrEnum):
    """What is removed: one weight, one output of a dense layer, one filter of a convolution, or a whole layer."""

    WEIGHT = "weights"
    NEURON = "neurons"
    CHANNEL = "channels"
    LAYER = "layers"


class Criterion(StrEnum):
    """How the importance of a unit is measured."""

    L1 = "l1"
    L2 = "l2"
    GRADIENT = "gradient"
    TAYLOR = "taylor"
    MEAN = "mean"
    VARIANCE = "variance"
    ACTIVATION_MEAN = "activation_mean"
    ACTIVATION_ZEROS = "activation_zeros"
    WEIGHT_ENTROPY = "weight_entropy"
    ACTIVATION_ENTROPY = "activation_entropy"
    OUTPUT_ENTROPY = "output_entropy"
    BN_SCALE = "bn_scale"
    RANDOM = "random"
    INPUT_NORM = "input_norm"
    OUTPUT_ERROR = "output_error"
    MOVEMENT = "movement"


class Reads(StrEnum):
    """What a criterion needs besides the weights."""

    NOTHING = "nothing"
    INPUTS = "calibration inputs"
    LABELS = "training samples with labels"
    TRAINING = "a training in progress"


_ALL = frozenset(Unit)
_GROUPS = _ALL - {Unit.WEIGHT}
_WEIGHTS = frozenset({Unit.WEIGHT})

EXISTS_FOR: dict[Criterion, frozenset[Unit]] = {
    Criterion.L1: _ALL,
    Criterion.L2: _ALL,
    Criterion.GRADIENT: _ALL,
    Criterion.TAYLOR: _ALL,
    Criterion.MEAN: _GROUPS,
    Criterion.VARIANCE: _GROUPS,
    Criterion.ACTIVATION_MEAN: _GROUPS,
    Criterion.ACTIVATION_ZEROS: _GROUPS,
    Criterion.WEIGHT_ENTROPY: _GROUPS,
    Criterion.ACTIVATION_ENTROPY: _GROUPS,
    Criterion.OUTPUT_ENTROPY: _GROUPS,
    Criterion.BN_SCALE: _GROUPS,
    Criterion.RANDOM: _ALL,
    Criterion.INPUT_NORM: _WEIGHTS,
    Criterion.OUTPUT_ERROR: _WEIGHTS,
    Criterion.MOVEMENT: _WEIGHTS,
}
"""The one table: a single weight has no mean, no entropy and no activation; a group has no input of its own."""

READS: dict[Criterion, Reads] = {
    Criterion.L1: Reads.NOTHING,
    Criterion.L2: Reads.NOTHING,
    Criterion.GRADIENT: Reads.LABELS,
    Criterion.TAYLOR: Reads.LABELS,
    Criterion.MEAN: Reads.NOTHING,
    Criterion.VARIANCE: Reads.NOTHING,
    Criterion.ACTIVATION_MEAN: Reads.INPUTS,
    Criterion.ACTIVATION_ZEROS: Reads.INPUTS,
    Criterion.WEIGHT_ENTROPY: Reads.NOTHING,
    Criterion.ACTIVATION_ENTROPY: Reads.INPUTS,
    Criterion.OUTPUT_ENTROPY: Reads.INPUTS,
    Criterion.BN_SCALE: Reads.NOTHING,
    Criterion.RANDOM: Reads.NOTHING,
    Criterion.INPUT_NORM: Reads.INPUTS,
    Criterion.OUTPUT_ERROR: Reads.INPUTS,
    Criterion.MOVEMENT: Reads.TRAINING,
}

Order = Literal["low_first", "high_first"]
"""Which end of the scores is removed first."""


def missing_criterion(criterion: Criterion, unit: Unit) -> str | None:
    """One sentence that says what exists instead; None when `criterion` exists for `unit`."""
    if unit in EXISTS_FOR[criterion]:
        return None
    return f"saliency {criterion.value!r} does not exist for {unit.value}; for {unit.value} there are {', '.join(criteria_for(unit))}"


def criteria_for(unit: Unit) -> tuple[str, ...]:
    """Names of the criteria that exist for a unit, in the table's order."""
    return tuple(criterion.value for criterion, units in EXISTS_FOR.items() if unit in units)


class SaliencySettings(StepSettings):
    """How a step tells what matters.

    Attributes:
        saliency: the criterion.
        order: `low_first` removes what scores lowest, `high_first` the opposite.
        saliency_samples: samples that a criterion reads, if it reads data.
    """

    # A recipe's text becomes the enum; strict mode alone would refuse it.
    saliency: Annotated[Criterion, Field(strict=False)] = Criterion.L1
    order: Order = "low_first"
    saliency_samples: Count = 256
