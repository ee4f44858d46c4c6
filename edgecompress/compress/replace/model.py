"""The pass `replace`: cheaper convolutions and activations that start from the trained weights, then fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from edgecompress.compress.data import Data
from edgecompress.compress.layers import is_inside, require_layers, walk_layers
from edgecompress.compress.replace.activations import ReplacedActivation, replace_activations
from edgecompress.compress.replace.convolutions import ReplacedLayer, SkippedLayer, is_candidate, replace_convolution
from edgecompress.compress.replace.statistics import renew_statistics
from edgecompress.compress.training.train import fit
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.cost import network_macs
from edgecompress.keras_graph.network import Network, Operator
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.progress import Progress, silent
from edgecompress.recipe.replace import ReplaceSettings


@dataclass(frozen=True)
class ReplaceNote:
    """What was exchanged.

    Attributes:
        layers: convolutions in another form.
        activations: that became another.
        skipped: what was asked for, directly or as one of all, and left.
        macs_before, macs_after: of the whole model, one inference.
        statistics_batches: of training data on which the normalizations were measured anew, before fine-tuning.
        epochs, steps: of fine-tuning.
        objective: where the loss came from.
    """

    layers: tuple[ReplacedLayer, ...]
    activations: tuple[ReplacedActivation, ...]
    skipped: tuple[SkippedLayer, ...]
    macs_before: int
    macs_after: int
    statistics_batches: int
    epochs: int
    steps: int
    objective: str


def replace(
    model: keras.Model, settings: ReplaceSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, ReplaceNote]:
    """A copy of `model` with cheaper layers, fine-tuned unless `epochs` is 0, and what was exchanged; `model` is not changed.

    Raises:
        RecipeError: a setting names a layer that does not exist or cannot take the form, or there is nothing to exchange.
        ModelError: the graph cannot be read.
        DataError: it is to be fine-tuned, and there is no training data, or no loss follows from its labels.
    """
    network = read_network(model)
    paths = _paths_of(model, network)
    names = [*(path for path, _ in walk_layers(model)), *paths.values()]
    require_layers(names, settings.layers, "replace: layers")
    require_layers(names, settings.exclude, "replace: exclude")
    excluded = frozenset(operator for operator, path in paths.items() if _is_among(path, settings.exclude))
    before = network_macs(network)
    activations, skipped = replace_activations(network, settings.activations, paths, excluded)
    layers: list[ReplacedLayer] = []
    if settings.convolution is not None:
        layers, left = _replace_convolutions(network, settings, paths, excluded)
        skipped += left
    if not layers and not activations:
        raise _nothing(model, skipped)
    changed = build_model(network)
    batches = renew_statistics(changed, data, batch_size=settings.batch_size) if layers else 0
    steps, objective = 0, "none: not fine-tuned"
    if settings.epochs:
        trained = fit(changed, data, objective_of=model, training=settings, stage="replace", progress=progress, original=original or model)
        steps, objective = trained.steps, trained.objective
    note = ReplaceNote(
        layers=tuple(layers),
        activations=tuple(activations),
        skipped=tuple(skipped),
        macs_before=before,
        macs_after=network_macs(network),
        statistics_batches=batches,
        epochs=settings.epochs,
        steps=steps,
        objective=objective,
    )
    return changed, note


def _replace_convolutions(
    network: Network, settings: ReplaceSettings, paths: dict[Operator, str], excluded: frozenset[Operator]
) -> tuple[list[ReplacedLayer], list[SkippedLayer]]:
    replaced: list[ReplacedLayer] = []
    skipped: list[SkippedLayer] = []
    for operator in [operator for operator in network.operators() if is_candidate(operator)]:
        path = paths[operator]
        if operator in excluded:
            skipped.append(SkippedLayer(path, "it is in exclude"))
        elif settings.layers and not _is_among(path, settings.layers):
            skipped.append(SkippedLayer(path, "it is not in layers"))
        else:
            outcome = replace_convolution(network, operator, path, settings)
            if isinstance(outcome, ReplacedLayer):
                replaced.append(outcome)
            elif path in settings.layers:
                raise RecipeError(f"replace: {path} cannot become {settings.convolution}: {outcome.reason}", hint="take it out of layers")
            else:
                skipped.append(outcome)
    return replaced, skipped


def _paths_of(model: keras.Model, network: Network) -> dict[Operator, str]:
    """The path of each layer ("block/conv"), and the name of each operation."""
    by_layer = {id(layer): path for path, layer in walk_layers(model)}
    return {operator: by_layer.get(id(operator.source), operator.name) for operator in network.operators()}


def _is_among(path: str, names: tuple[str, ...]) -> bool:
    return any(is_inside(path, name) for name in names)


def _nothing(model: keras.Model, skipped: list[SkippedLayer]) -> RecipeError:
    reasons = "; ".join(f"{left.layer}: {left.reason}" for left in skipped[:3])
    return RecipeError(
        f"replace: model {model.name!r} has nothing to exchange", hint=reasons or "it has no layer of the kinds that the step names"
    )
