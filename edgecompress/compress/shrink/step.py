"""The pass `shrink`: choose, cut, fine-tune; once, or in rounds that each go a part of the way.

In round k of n the budget is 1 - (1 - budget) k / n of the model that came in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import keras

from edgecompress.compress.data import Data
from edgecompress.compress.layers import is_inside, require_layers
from edgecompress.compress.saliency.criteria import Floats
from edgecompress.compress.saliency.score import score_channels
from edgecompress.compress.shrink.blocks import RemovedBlock, measure_effects
from edgecompress.compress.shrink.choose import choose_kept, rank
from edgecompress.compress.shrink.costs import Costs, channel_costs, mac_costs, parameter_costs
from edgecompress.compress.shrink.families import find_families, sum_scores
from edgecompress.compress.shrink.refit import refit_readers
from edgecompress.compress.shrink.remove import KeptChannels, LayerChannels, changed_layers, count_made, name_kept, name_layers
from edgecompress.compress.training.train import Trained, copy_model, fit
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.channel_rules import map_channels
from edgecompress.keras_graph.constants import ConstantMap
from edgecompress.keras_graph.cost import network_macs, network_parameters
from edgecompress.keras_graph.groups import Groups, cut_chosen, dead_groups, find_groups, makers
from edgecompress.keras_graph.network import Network, Operator
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.residual import ResidualBlock, drop_block, find_blocks
from edgecompress.keras_graph.walk import read_network
from edgecompress.progress import Progress, silent
from edgecompress.recipe.shrink import ShrinkSettings

_NAMED = 3
"""Layers that a message tells the reason of."""


@dataclass(frozen=True)
class ShrinkNote:
    """What shrinking did.

    Attributes:
        layers: that lost channels.
        blocks: residual branches that went.
        kept: channels that nothing could remove, with the reason.
        macs_before, macs, parameters_before, parameters: of the model that came in and the one that is left.
        epochs, steps: of fine-tuning, all rounds together.
        objective: where the loss came from.
    """

    layers: tuple[LayerChannels, ...]
    blocks: tuple[RemovedBlock, ...]
    kept: tuple[KeptChannels, ...]
    macs_before: int
    macs: int
    parameters_before: int
    parameters: int
    epochs: int
    steps: int
    objective: str


def shrink(
    model: keras.Model, settings: ShrinkSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, ShrinkNote]:
    """A smaller copy of `model`, fine-tuned, and what was done; `model` is not changed. With 0 epochs it is not fine-tuned.

    Raises:
        RecipeError: the budget cannot be reached, there is no block to remove, `exclude` names no layer, or the saliency does not exist
            for a layer.
        ModelError: the graph cannot be read or built.
        DataError: data that fine-tuning, the saliency, `refit` or the choice of blocks needs is missing.
    """
    start = read_network(model)
    names = name_layers(model, start)
    require_layers(list(names.values()), settings.exclude, "shrink: exclude")
    if settings.remove == "blocks" and not find_blocks(start):
        raise RecipeError(
            f"shrink: {model.name!r} has no residual block: no addition joins a branch to what it started from",
            hint="leave the step out, or set remove to 'channels'",
        )
    groups = find_groups(start)
    whole = _whole(start, groups, settings, names)
    current, blocks, trainings = model, list[RemovedBlock](), list[Trained]()
    for done in range(1, settings.rounds + 1):
        budget = whole * (1 - (1 - settings.left) * done / settings.rounds)
        if settings.remove == "blocks":
            current, gone = _remove_blocks(current, settings, data, budget, names)
            blocks += gone
        else:
            current = _remove_channels(current, settings, data, budget, names, progress)
        epochs = settings.epochs if done == settings.rounds else settings.round_epochs
        if epochs:
            training = settings.model_copy(update={"epochs": epochs})
            stage = f"shrink, round {done} of {settings.rounds}" if settings.rounds > 1 else "shrink"
            trained = fit(current, data, objective_of=model, training=training, stage=stage, progress=progress, original=original or model)
            trainings.append(trained)
    end = read_network(current)
    between = settings.round_epochs * (settings.rounds - 1)
    note = ShrinkNote(
        layers=changed_layers(count_made(groups.channels), count_made(map_channels(end)), names),
        blocks=tuple(blocks),
        kept=name_kept(groups.channels, groups.pinned | _stuck(groups), names),
        macs_before=network_macs(start),
        macs=network_macs(end),
        parameters_before=network_parameters(start),
        parameters=network_parameters(end),
        epochs=settings.epochs + between,
        steps=sum(trained.steps for trained in trainings),
        objective=trainings[-1].objective if trainings else "none: not fine-tuned",
    )
    return current, note


def _whole(network: Network, groups: Groups, settings: ShrinkSettings, names: Mapping[str, str]) -> float:
    """What the budget is a share of, before anything was removed."""
    match settings.goal:
        case "macs":
            return network_macs(network)
        case "parameters":
            return network_parameters(network)
        case "amount":
            return len(find_blocks(network)) if settings.remove == "blocks" else len(_candidates(groups, settings, names))


def _candidates(groups: Groups, settings: ShrinkSettings, names: Mapping[str, str]) -> list[int]:
    """Groups that the settings let go."""
    excluded = {
        int(root)
        for operator, ids in makers(groups.channels).items()
        if any(is_inside(names[operator.name], name) for name in settings.exclude)
        for root in ids
    }
    stays = excluded | set(_stuck(groups)) | (groups.merged if settings.scope == "internal" else frozenset())
    made = {int(root) for ids in makers(groups.channels).values() for root in ids}
    return [root for root in groups.roots if root in made and root not in stays]


def _stuck(groups: Groups) -> dict[int, str]:
    """Channels that died at a number which no bias can take over, with the reason; all others may go."""
    return dead_groups(groups.channels, ConstantMap(groups.channels))[1]


def _remove_channels(
    model: keras.Model, settings: ShrinkSettings, data: Data, budget: float, names: Mapping[str, str], progress: Progress
) -> keras.Model:
    network = read_network(model)
    groups = find_groups(network)
    candidates = _candidates(groups, settings, names)
    families = find_families(groups, set(candidates), multiple_of=settings.multiple_of, minimum=settings.minimum, most=settings.most)
    scores = sum_scores(groups, _scores(model, groups, {int(root) for root in candidates}, settings, data, progress))
    macs = mac_costs(groups.channels)
    ranked = rank(families, scores, macs, ranking=settings.ranking, normalize=settings.normalize)
    costs = _costs(groups, candidates, settings)
    kept = choose_kept(ranked, costs, budget, settings.ranking)
    if kept is None:
        raise RecipeError(
            f"shrink: {settings.goal} = {settings.wish:g} cannot be reached: {len(families)} families of channels may be cut",
            hint="ask for less, raise `most`, lower `minimum` or `multiple_of`, set scope to 'all', or shorten `exclude`",
        )
    going = {root for root in candidates if not kept[root]}
    # Before a refit, behind which nothing reads the channels that go.
    dead, _ = dead_groups(groups.channels, ConstantMap(groups.channels))
    if settings.refit == "least_squares":
        refit_readers(model, groups, going, data, settings.saliency_samples)
    cut_chosen(groups, going, dead)
    return build_model(network)


def _costs(groups: Groups, candidates: Sequence[int], settings: ShrinkSettings) -> Costs:
    match settings.goal:
        case "macs":
            return mac_costs(groups.channels)
        case "parameters":
            return parameter_costs(groups.channels)
        case "amount":
            return channel_costs(groups.channels, candidates)


def _scores(
    model: keras.Model, groups: Groups, candidates: Set[int], settings: ShrinkSettings, data: Data, progress: Progress
) -> dict[Operator, Floats]:
    """Of every channel that a layer with candidates makes."""
    paths = name_layers(model, groups.channels.network)
    embeddings = keras.layers.Embedding
    scored = {
        paths[operator.name]: operator
        for operator, ids in makers(groups.channels).items()
        if operator.kind is not embeddings and not candidates.isdisjoint(ids.tolist())
    }
    if not scored:
        raise RecipeError("shrink: no channel of this model may go", hint=_what_holds(groups, settings, paths))
    values = score_channels(
        model,
        list(scored),
        settings.saliency,
        data,
        samples=settings.saliency_samples,
        batch_size=settings.batch_size,
        seed=settings.seed,
        order=settings.order,
        progress=progress,
    )
    return {scored[path]: value for path, value in values.items()}


def _what_holds(groups: Groups, settings: ShrinkSettings, paths: Mapping[str, str]) -> str:
    """Why no channel may go: the settings where they keep some, or else the model."""
    if settings.exclude:
        return "shorten `exclude`"
    if settings.scope == "internal" and groups.merged:
        return "set scope to 'all'"
    kept = "; ".join(f"{kept.layer}: {kept.reason}" for kept in name_kept(groups.channels, groups.pinned, paths)[:_NAMED])
    return f"leave the step out; {kept or 'no layer makes channels that another reads'}"


def _remove_blocks(
    model: keras.Model, settings: ShrinkSettings, data: Data, budget: float, names: Mapping[str, str]
) -> tuple[keras.Model, list[RemovedBlock]]:
    """Drop the block of least effect until the budget is kept; effects are measured anew after each."""
    removed: list[RemovedBlock] = []
    while True:
        network = read_network(model)
        blocks = [block for block in find_blocks(network) if not _is_excluded(block, settings.exclude, names)]
        if _block_total(network, settings) <= budget:
            return (model if removed else copy_model(model)), removed
        if not blocks:
            raise RecipeError(
                f"shrink: {settings.goal} = {settings.wish:g} cannot be reached by residual blocks",
                hint="ask for less, shorten `exclude`, or set remove to 'channels'",
            )
        effects = measure_effects(model, network, blocks, data, settings.saliency_samples)
        block, effect = min(zip(blocks, effects, strict=True), key=lambda pair: pair[1])
        layers = tuple(dict.fromkeys(call.operator.name for call in block.calls))
        removed.append(RemovedBlock(block.name, block.path, effect, layers))
        drop_block(network, block)
        model = build_model(network)


def _block_total(network: Network, settings: ShrinkSettings) -> float:
    match settings.goal:
        case "macs":
            return network_macs(network)
        case "parameters":
            return network_parameters(network)
        case "amount":
            return len(find_blocks(network))


def _is_excluded(block: ResidualBlock, exclude: Sequence[str], names: Mapping[str, str]) -> bool:
    """Whether the addition or a layer of the branch is excluded."""
    paths = [names.get(call.operator.name, call.operator.name) for call in (block.addition, *block.calls)]
    return any(is_inside(path, name) for path in paths for name in exclude)
