"""Weights of few bits (the pass `bits`): uniform, ternary, binary or logarithmic levels, and bits by measured sensitivity.

Levels and scales are chosen after folding, in units of each channel's int8 scale (`codebook`), and trained as `levels` says. int8 kernels
compute with them unchanged; what they save is storage, once they are packed.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from edgecompress.compress.data import Data
from edgecompress.compress.grid import codebook
from edgecompress.compress.grid.bit_budget import choose_bits
from edgecompress.compress.grid.codebook import Floats
from edgecompress.compress.grid.layers import (
    LayerCodebook,
    SkippedLayer,
    describe_codebooks,
    find_layers,
    levels_for,
    packed_share,
    put_on_codebook,
    weight_columns,
)
from edgecompress.compress.grid.mixed import LayerSensitivity, measure_sensitivity
from edgecompress.compress.int8.layers import Codebook, kernel_of_columns
from edgecompress.compress.training.train import fit
from edgecompress.keras_graph.network import Network, Operator, as_float32
from edgecompress.keras_graph.prepare import prepare_network
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.progress import Progress, silent
from edgecompress.recipe.bits import BitsSettings, MixedBits


@dataclass(frozen=True)
class BitsNote:
    """What was done.

    Attributes:
        layers: those on few bits.
        bits: of each of them, as asked for or chosen.
        average_bits: over their weights.
        packed_share: bytes of packed indices and codebooks against one byte a weight, over `layers`.
        sensitivity: what was measured to choose the bits; empty without `mixed`.
        epochs, steps: of fine-tuning.
        objective: where the loss came from.
    """

    layers: tuple[LayerCodebook, ...]
    skipped: tuple[SkippedLayer, ...]
    bits: tuple[int, ...]
    average_bits: float
    packed_share: float
    sensitivity: tuple[LayerSensitivity, ...]
    epochs: int
    steps: int
    objective: str


def bits(
    model: keras.Model, settings: BitsSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, BitsNote]:
    """A prepared copy of `model` with weights of few bits, fine-tuned, and what was done; `model` is not changed.

    Raises:
        RecipeError: `exclude` names no layer, nothing is left, or the budget is out of reach.
        ModelError: the graph cannot be read.
        DataError: data that sensitivity or training needs is missing.
    """
    network = prepare_network(model)
    found, skipped = find_layers(network, model, settings.exclude, "bits")
    sensitivity: list[LayerSensitivity] = []
    wanted = [_nominal_bits(settings)] * len(found)
    if settings.mixed is not None:
        sensitivity = _measure(network, found, settings, settings.mixed, data, model, progress)
        wanted = _choose(found, sensitivity, settings, settings.mixed)
    errors: dict[str, float] = {}
    for operator, count in zip(found, wanted, strict=True):
        columns = weight_columns(operator)
        levels, scales = choose_levels(columns, settings, count)
        errors[operator.name] = put_on_codebook(operator, columns, Codebook(levels_for(operator, levels), scales, trained=False))
    reduced = build_model(network)
    steps, objective = 0, "none: not fine-tuned"
    if settings.epochs:
        words = f"fine-tune {settings.method} weights"
        trained = fit(reduced, data, objective_of=model, training=settings, stage=words, progress=progress, original=original or model)
        steps, objective = trained.steps, trained.objective
    layers = describe_codebooks(reduced, errors)
    return reduced, BitsNote(
        layers=layers,
        skipped=tuple(skipped),
        bits=tuple(wanted),
        average_bits=float(np.average(wanted, weights=[layer.weights for layer in layers])),
        packed_share=packed_share(layers),
        sensitivity=tuple(sensitivity),
        epochs=settings.epochs,
        steps=steps,
        objective=objective,
    )


def choose_levels(columns: Floats, settings: BitsSettings, count: int) -> tuple[Floats, Floats]:
    """Levels [1, K] and scales [C] of one layer.

    Args:
        columns: [N, C].
        count: bits.
    """
    match settings.method:
        case "ternary":
            return codebook.uniform_levels(2), codebook.ternary_scales(columns)
        case "binary":
            return np.array([[-codebook.LARGEST, codebook.LARGEST]]), codebook.binary_scales(columns)
        case "uniform":
            levels = codebook.uniform_levels(count)
        case "log":
            levels = codebook.log_levels(count, settings.base)
    clip = 1.0 if settings.clip == "max" else settings.clip
    return levels, codebook.clipped_scales(columns, levels, clip)


def _nominal_bits(settings: BitsSettings) -> int:
    match settings.method:
        case "ternary":
            return 2
        case "binary":
            return 1
        case _:
            return settings.bits


def _measure(
    network: Network,
    found: list[Operator],
    settings: BitsSettings,
    mixed: MixedBits,
    data: Data,
    model: keras.Model,
    progress: Progress,
) -> list[LayerSensitivity]:
    tried = range(mixed.lowest, mixed.highest + 1)
    versions = {}
    for operator in found:
        columns = weight_columns(operator)
        choices = [choose_levels(columns, settings, count) for count in tried]
        versions[operator.name] = [
            as_float32(kernel_of_columns(operator, codebook.on_levels(columns, levels, scales))) for levels, scales in choices
        ]
    return measure_sensitivity(
        build_model(network), versions, tried, data=data, objective_of=model, samples=mixed.samples, progress=progress
    )


def _choose(found: list[Operator], sensitivity: list[LayerSensitivity], settings: BitsSettings, mixed: MixedBits) -> list[int]:
    tried = np.arange(mixed.lowest, mixed.highest + 1)
    sizes = np.array([weight_columns(operator).size for operator in found])
    if mixed.bytes is not None:
        levels = [_level_count(settings, int(count)) for count in tried]
        costs = np.array([[codebook.packed_bytes(int(size), count, 1) for count in levels] for size in sizes], np.float64)
        budget = float(mixed.bytes)
    else:
        costs = np.outer(sizes, tried).astype(np.float64)
        budget = float((mixed.average or 0.0) * sizes.sum())
    chosen = choose_bits(np.array([layer.losses for layer in sensitivity]), costs, budget)
    return [int(tried[column]) for column in chosen]


def _level_count(settings: BitsSettings, count: int) -> int:
    levels = codebook.log_levels(count, settings.base) if settings.method == "log" else codebook.uniform_levels(count)
    return int(levels.shape[1])
