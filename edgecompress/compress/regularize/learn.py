"""The pass `regularize`: training under a penalty, at whose end weights or channels are exactly zero (see `recipe.regularize`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data
from edgecompress.compress.prune.kernels import Kernel, find_kernels
from edgecompress.compress.regularize.gated import add_gates
from edgecompress.compress.regularize.gates import GateClock, GatePenalty
from edgecompress.compress.regularize.proximal import ProximalCallback, group_step, l1_step, l2_step, set_norms
from edgecompress.compress.regularize.sets import ChannelSets, find_sets
from edgecompress.compress.shrink.remove import KeptChannels, LayerChannels, Removal, remove_dead_channels
from edgecompress.compress.training.train import Trained, copy_model, fit
from edgecompress.keras_graph.walk import read_network
from edgecompress.progress import Progress, silent
from edgecompress.recipe.regularize import RegularizeSettings

_EMPTIED = "all its channels closed: if the model is no good any more, lower strength"


@dataclass(frozen=True)
class LayerResult:
    """What of one layer is zero after the training.

    Attributes:
        count, zeros: of what the note's `unit` says; channels that several layers make together count at the first of them.
    """

    layer: str
    count: int
    zeros: int


@dataclass(frozen=True)
class Kept:
    """A layer that keeps channels, and why."""

    layer: str
    reason: str


@dataclass(frozen=True)
class RegularizeNote:
    """What the penalty did.

    Attributes:
        unit: what ends at zero.
        loss: mean of the last epoch, without the penalty of l1, l2 and group_lasso.
        kept: layers with channels that could not go; empty for single weights.
        removed: layers that have fewer channels now.
        refused: channels that closed and stay, and why.
    """

    method: Literal["l1", "l2", "group_lasso", "l0"]
    unit: Literal["weights", "channels"]
    count: int
    zeros: int
    layers: tuple[LayerResult, ...]
    kept: tuple[Kept, ...]
    removed: tuple[LayerChannels, ...]
    refused: tuple[KeptChannels, ...]
    epochs: int
    steps: int
    loss: float
    objective: str


def regularize(
    model: keras.Model, settings: RegularizeSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, RegularizeNote]:
    """A copy of `model` that was trained under the penalty, and what ended at zero; `model` is not changed.

    Weights that became zero stay so in later steps; channels are removed.

    Raises:
        DataError: there is no training data, or no loss follows from its labels.
        ModelError: the model cannot be copied or read.
        RecipeError: `exclude` names no layer, or nothing may be emptied.
    """
    match settings.method:
        case "l1" | "l2":
            return _empty_weights(model, settings, data, original, progress)
        case "group_lasso":
            return _shrink_channels(model, settings, data, original, progress)
        case "l0":
            return _close_gates(model, settings, data, original, progress)


def _empty_weights(
    model: keras.Model, settings: RegularizeSettings, data: Data, original: keras.Model | None, progress: Progress
) -> tuple[keras.Model, RegularizeNote]:
    regular = copy_model(model)
    kernels = find_kernels(regular, settings.exclude)
    step = l1_step(kernels) if settings.method == "l1" else l2_step(kernels)
    trained = fit(
        regular,
        data,
        objective_of=model,
        training=settings,
        stage=f"regularize: {settings.method}",
        progress=progress,
        callbacks=[ProximalCallback(step, settings.strength)],
        original=original,
    )
    counts: dict[str, tuple[int, int]] = {}
    for kernel in kernels:
        weights, zeros = counts.get(kernel.layer, (0, 0))
        counts[kernel.layer] = weights + kernel.elements, zeros + _cut_small(kernel, settings.threshold)
    layers = tuple(LayerResult(layer, weights, zeros) for layer, (weights, zeros) in counts.items())
    removal = Removal((), ())
    if settings.dead_channels == "remove":
        regular, removal = _without_dead(regular, regular)
    return regular, _note(settings, "weights", layers, (), trained, removal)


def _cut_small(kernel: Kernel, threshold: float) -> int:
    """Zero the weights below the share `threshold` of the largest; how many are zero then."""
    weights = kernel.variable.numpy()
    small = np.abs(weights) < threshold * np.abs(weights).max(initial=0.0)
    kernel.variable.assign(np.where(small, 0, weights))
    return int(np.count_nonzero(small | (weights == 0)))


def _shrink_channels(
    model: keras.Model, settings: RegularizeSettings, data: Data, original: keras.Model | None, progress: Progress
) -> tuple[keras.Model, RegularizeNote]:
    regular = copy_model(model)
    sets = find_sets(regular, read_network(regular), settings.exclude)
    trained = fit(
        regular,
        data,
        objective_of=model,
        training=settings,
        stage="regularize: group_lasso",
        progress=progress,
        callbacks=[ProximalCallback(group_step(sets), settings.strength)],
        original=original,
    )
    norms, owners = set_norms(sets), np.array(sets.owners)
    closed = np.zeros(sets.count, np.bool_)
    for owner in dict.fromkeys(sets.owners):
        mine = owners == owner
        closed[mine] = norms[mine] <= settings.threshold * norms[mine].max()
    return _without_closed(regular, settings, sets, closed, trained, regular)


def _close_gates(
    model: keras.Model, settings: RegularizeSettings, data: Data, original: keras.Model | None, progress: Progress
) -> tuple[keras.Model, RegularizeNote]:
    regular = copy_model(model)
    network = read_network(regular)
    operators = list(network.operators())
    sets = find_sets(regular, network, settings.exclude)
    # The one random number that is drawn here comes from the recipe's seed.
    seed = int(np.random.randint(2**31 - 1))
    gated = add_gates(network, sets, initial_closed=settings.initial_closed, speed=settings.gate_speed, seed=seed)
    trained = fit(
        gated.model,
        data,
        objective_of=model,
        training=settings,
        stage="regularize: l0",
        progress=progress,
        callbacks=[GateClock(gated.gates)],
        original=original or model,
        loss_terms=[GatePenalty(gated.gates, sets.sizes, settings.strength)],
    )
    gated.carry_back(operators)
    return _without_closed(regular, settings, sets, gated.final() == 0, trained, gated.model)


def _without_closed(
    regular: keras.Model,
    settings: RegularizeSettings,
    sets: ChannelSets,
    closed: NDArray[np.bool_],
    trained: Trained,
    trained_model: keras.Model,
) -> tuple[keras.Model, RegularizeNote]:
    """The model without the closed sets of channels."""
    sets.zero(closed)
    smaller, removal = _without_dead(regular, trained_model)
    owners = np.array(sets.owners)
    layers = tuple(
        LayerResult(owner, int((owners == owner).sum()), int(closed[owners == owner].sum())) for owner in dict.fromkeys(sets.owners)
    )
    kept = [Kept(layer, reason) for layer, reason in sets.kept.items()]
    kept += [Kept(layer.layer, _EMPTIED) for layer in layers if layer.zeros == layer.count]
    return smaller, _note(settings, "channels", layers, tuple(kept), trained, removal)


def _without_dead(model: keras.Model, trained: keras.Model) -> tuple[keras.Model, Removal]:
    """The model without its dead channels, compiled as `trained` is: the steps that follow know the loss from the model."""
    smaller, removal = remove_dead_channels(model)
    smaller.compile(loss=trained.loss, loss_weights=(trained.get_compile_config() or {}).get("loss_weights"))
    return smaller, removal


def _note(
    settings: RegularizeSettings,
    unit: Literal["weights", "channels"],
    layers: Sequence[LayerResult],
    kept: tuple[Kept, ...],
    trained: Trained,
    removal: Removal,
) -> RegularizeNote:
    return RegularizeNote(
        method=settings.method,
        unit=unit,
        count=sum(layer.count for layer in layers),
        zeros=sum(layer.zeros for layer in layers),
        layers=tuple(layers),
        kept=kept,
        removed=removal.layers,
        refused=removal.kept,
        epochs=settings.epochs,
        steps=trained.steps,
        loss=trained.loss,
        objective=trained.objective,
    )
