"""Low rank: kernels replaced by products of smaller ones where that saves multiply-accumulates, then fine-tuning.

`methods` has the splits and their costs, `choose` the choice among them; docs/passes/lowrank.md has the formulas and their sources.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from edgecompress.compress.data import Data
from edgecompress.compress.lowrank.choose import best_within, cheapest, distribute
from edgecompress.compress.lowrank.methods import Candidates, Method, Moments, Point, Split
from edgecompress.compress.lowrank.parts import replace_layer
from edgecompress.compress.lowrank.responses import measure_moments
from edgecompress.compress.lowrank.sites import Site, Skipped, find_sites
from edgecompress.compress.training.train import fit
from edgecompress.errors import RecipeError
from edgecompress.keras_graph.cost import network_macs, network_parameters
from edgecompress.keras_graph.network import Network
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.progress import Progress, silent
from edgecompress.recipe.lowrank import LowRankSettings

_NO_POINT = "no rank saves multiply-accumulates"


@dataclass(frozen=True)
class FactorizedLayer:
    """One layer that was split.

    Attributes:
        layer: its name, which the last part keeps.
        parts: names of the layers that stand for it now, first to last.
        ranks: (r,), or (p, q) of Tucker-2: channels between the parts.
        macs_before, macs_after: of all its uses.
        parameters_before, parameters_after: of its kernels.
        error: ||W - W'|| / ||W|| of the kernel.
        lost: share of the energy that was lost, by the step's criterion; Tucker-2 before HOOI.
    """

    layer: str
    parts: tuple[str, ...]
    method: str
    ranks: tuple[int, ...]
    macs_before: int
    macs_after: int
    parameters_before: int
    parameters_after: int
    error: float
    lost: float


@dataclass(frozen=True)
class LowRankNote:
    """What low rank did.

    Attributes:
        layers: those that were split.
        skipped: those with a kernel that were not, with the reason.
        macs_before, macs_after, parameters_before, parameters_after: of the whole model.
        seconds: of factorizing, without fine-tuning.
        epochs, steps, objective: of fine-tuning.
    """

    layers: tuple[FactorizedLayer, ...]
    skipped: tuple[Skipped, ...]
    macs_before: int
    macs_after: int
    parameters_before: int
    parameters_after: int
    seconds: float
    epochs: int
    steps: int
    objective: str


def lowrank(
    model: keras.Model,
    settings: LowRankSettings,
    data: Data,
    *,
    original: keras.Model | None = None,
    progress: Progress = silent,
) -> tuple[keras.Model, LowRankNote]:
    """A factorized and fine-tuned copy of `model`, and what was done; `model` is not changed.

    Nested models are opened; normalizations, activations and biases stay behind the last part of each layer.

    Args:
        original: the model that the recipe began with: the default teacher, and the owner of the loss.

    Raises:
        RecipeError: `exclude` names no layer, or no ranks reach the budget.
        ModelError: the model's graph cannot be read.
        DataError: fine-tuning or `responses` needs data that is missing.
    """
    started = time.monotonic()
    network = read_network(model)
    macs, parameters = network_macs(network), network_parameters(network)
    sites, skipped = find_sites(network, model, settings.exclude)
    candidates = _weigh(model, sites, settings, data, progress)
    points = _choose(sites, candidates, settings, (macs, parameters))
    layers: list[FactorizedLayer] = []
    for site, candidate, point in zip(sites, candidates, points, strict=True):
        if point is None:
            skipped.append(Skipped(site.operator.name, _reason(candidate.points, settings), site.geometry.macs))
        else:
            split = candidate.split(point.method, point.ranks)
            layers.append(_describe(site, point, split, replace_layer(network, site, split)))
    factorized = build_model(network)
    seconds = time.monotonic() - started
    steps, objective = 0, "none: not fine-tuned"
    if settings.epochs and layers:
        owner = original or model
        trained = fit(factorized, data, objective_of=owner, training=settings, stage="lowrank", progress=progress, original=original)
        steps, objective = trained.steps, trained.objective
    return factorized, LowRankNote(
        layers=tuple(layers),
        skipped=tuple(skipped),
        macs_before=macs,
        macs_after=network_macs(network),
        parameters_before=parameters,
        parameters_after=network_parameters(network),
        seconds=seconds,
        epochs=settings.epochs if layers else 0,
        steps=steps,
        objective=objective,
    )


def _weigh(model: keras.Model, sites: Sequence[Site], settings: LowRankSettings, data: Data, progress: Progress) -> list[Candidates]:
    moments: Sequence[Moments | None] = [None] * len(sites)
    if settings.criterion == "responses" and sites:
        moments = measure_moments(model, sites, data, samples=settings.samples, progress=progress)
    found = []
    for done, (site, moment) in enumerate(zip(sites, moments, strict=True)):
        progress("lowrank: factorize", done, len(sites))
        found.append(_candidates(site, moment, settings, _cp_progress(site, progress)))
    progress("lowrank: factorize", len(sites), len(sites))
    return found


def _candidates(site: Site, moments: Moments | None, settings: LowRankSettings, on_cp: Callable[[int, int], None]) -> Candidates:
    return Candidates(
        site.kernel,
        site.geometry,
        _methods(site, settings),
        multiple_of=settings.multiple_of,
        sweeps=settings.sweeps,
        ratio=settings.ratio,
        moments=moments,
        on_cp=on_cp,
    )


def _cp_progress(site: Site, progress: Progress) -> Callable[[int, int], None]:
    return lambda done, total: progress(f"lowrank: CP of {site.operator.name}", done, total)


def _methods(site: Site, settings: LowRankSettings) -> tuple[Method, ...]:
    """Those that the settings allow and the kernel takes; a kernel without height and width takes SVD whatever the settings say."""
    if site.methods == (Method.SVD,):
        return site.methods
    if settings.criterion == "responses":
        return (Method.CHANNEL,)
    if settings.method == "auto":
        # CP's parts are hard to fine-tune (Lebedev et al. 2015), and what it loses is known only after a run: it has to be asked for.
        return tuple(method for method in site.methods if method is not Method.CP)
    return tuple(method for method in site.methods if method is Method(settings.method))


def _choose(
    sites: Sequence[Site], candidates: Sequence[Candidates], settings: LowRankSettings, whole: tuple[int, int]
) -> Sequence[Point | None]:
    if settings.budget is not None:
        return _choose_for_budget(sites, candidates, settings, whole)
    if settings.energy is not None:
        return [cheapest(candidate.points, settings.energy) for candidate in candidates]
    ratio = settings.ratio or 0.0
    return [best_within(candidate.points, ratio * site.geometry.macs) for site, candidate in zip(sites, candidates, strict=True)]


def _choose_for_budget(
    sites: Sequence[Site], candidates: Sequence[Candidates], settings: LowRankSettings, whole: tuple[int, int]
) -> tuple[Point | None, ...]:
    by_macs = settings.budget_of == "macs"
    total = whole[0] if by_macs else whole[1]
    costs = [site.geometry.macs if by_macs else site.geometry.parameters for site in sites]
    fixed = total - sum(costs)
    allowed = (settings.budget or 0.0) * total

    def cost_of(point: Point) -> int:
        return point.macs if by_macs else point.parameters

    choice = distribute([candidate.points for candidate in candidates], costs, allowed - fixed, cost_of)
    if choice.cost + fixed > allowed:
        raise RecipeError(
            f"lowrank: a budget of {settings.budget:g} of the {settings.budget_of} is out of reach; "
            f"the lowest ranks leave {(choice.cost + fixed) / total:.3f}",
            hint="raise the budget, lower multiple_of, or shrink the model first",
        )
    return choice.points


def _reason(points: Sequence[Point], settings: LowRankSettings) -> str:
    if not points:
        return _NO_POINT
    if settings.budget is not None:
        return "the budget is reached without it"
    if settings.energy is not None:
        most = max(points, key=lambda point: -point.lost)
        return f"no rank that keeps {settings.energy:g} of its energy saves multiply-accumulates; one that saves keeps {1 - most.lost:.3f}"
    least = min(point.macs for point in points)
    return f"no rank fits in {settings.ratio:g} of its multiply-accumulates; the lowest needs {least:,}"


def _describe(site: Site, point: Point, split: Split, parts: Sequence[str]) -> FactorizedLayer:
    return FactorizedLayer(
        layer=site.operator.name,
        parts=tuple(parts),
        method=point.method.value,
        ranks=point.ranks,
        macs_before=site.geometry.macs,
        macs_after=point.macs,
        parameters_before=site.geometry.parameters,
        parameters_after=point.parameters,
        error=split.error,
        lost=point.lost,
    )


def factorize_layer(network: Network, site: Site, method: Method, ranks: tuple[int, ...], *, sweeps: int = 50) -> list[str]:
    """Split one layer of a network at given ranks, whether that saves anything or not; the names of its parts."""
    candidates = Candidates(site.kernel, site.geometry, (), multiple_of=1, sweeps=sweeps)
    return replace_layer(network, site, candidates.split(method, ranks))
