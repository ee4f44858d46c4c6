"""Weights that share few values (the pass `cluster`).

The model is prepared (normalizations folded), each layer's weights are brought to counts of their channel's int8 scale, and k-means finds
the few whole numbers that stand for them (`codebook`). Fine-tuning moves weights, scales and levels together (`levels`), and what follows,
quantization-aware training included, keeps each layer on its levels: the .tflite holds at most `clusters` distinct int8 values a layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from edgecompress.compress.data import Data
from edgecompress.compress.grid import codebook
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
from edgecompress.compress.grid.tie import SharedLayers, find_ties, share_layers, tie_columns
from edgecompress.compress.int8.layers import Codebook, kernel_of_columns
from edgecompress.compress.training.train import fit
from edgecompress.keras_graph.network import Operator, as_float32
from edgecompress.keras_graph.prepare import prepare_network
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.weighted import kernel_of, map_kernel
from edgecompress.progress import Progress, silent
from edgecompress.recipe.cluster import ClusterSettings


@dataclass(frozen=True)
class ClusterNote:
    """What clustering did.

    Attributes:
        layers: those on a codebook.
        packed_share: bytes of packed indices and codebooks against one byte a weight, over `layers`.
        tied_filters: of all layers.
        shared: layers that became one.
        epochs, steps: of fine-tuning.
        objective: where the loss came from.
    """

    layers: tuple[LayerCodebook, ...]
    skipped: tuple[SkippedLayer, ...]
    packed_share: float
    tied_filters: int
    shared: tuple[SharedLayers, ...]
    epochs: int
    steps: int
    objective: str


def cluster(
    model: keras.Model, settings: ClusterSettings, data: Data, *, original: keras.Model | None = None, progress: Progress = silent
) -> tuple[keras.Model, ClusterNote]:
    """A prepared copy of `model` on codebooks, fine-tuned, and what was done; `model` is not changed.

    Raises:
        RecipeError: a setting names no layer, layers that cannot be one, or nothing is left to cluster.
        ModelError: the graph cannot be read.
        DataError: there is no training data, or no loss follows from its labels.
    """
    network = prepare_network(model)
    shared = share_layers(network, model, settings.share_layers)
    found: list[Operator] = []
    skipped: list[SkippedLayer] = []
    if settings.clusters != "all" or settings.tie_filters is not None:
        found, skipped = find_layers(network, model, settings.exclude, "cluster")
    errors: dict[str, float] = {}
    for done, operator in enumerate(found):
        progress("choose clusters", done, len(found))
        errors[operator.name] = _cluster_layer(operator, settings)
    progress("choose clusters", len(found), len(found))
    clustered = build_model(network)
    steps, objective = 0, "none: not fine-tuned"
    if settings.epochs:
        words = "fine-tune shared weights" if settings.clusters == "all" else f"fine-tune {settings.clusters} clusters"
        trained = fit(clustered, data, objective_of=model, training=settings, stage=words, progress=progress, original=original or model)
        steps, objective = trained.steps, trained.objective
    layers = describe_codebooks(clustered, errors)
    return clustered, ClusterNote(
        layers=layers,
        skipped=tuple(skipped),
        packed_share=packed_share(layers),
        tied_filters=sum(layer.tied for layer in layers),
        shared=shared,
        epochs=settings.epochs,
        steps=steps,
        objective=objective,
    )


def _cluster_layer(operator: Operator, settings: ClusterSettings) -> float:
    """Put one layer on its codebook; the relative error that it makes."""
    columns = before = weight_columns(operator)
    ties = None
    if settings.tie_filters is not None:
        ties = find_ties(columns, settings.tie_filters)
        columns = tie_columns(columns, ties)
        tied = kernel_of_columns(operator, columns)
        map_kernel(operator, lambda _: as_float32(tied))
    if settings.clusters == "all":
        levels, scales = levels_for(operator, codebook.uniform_levels(8)), codebook.largest_scales(columns)
    else:
        keep_zero = bool(np.any(kernel_of(operator) == 0))
        levels, scales = codebook.cluster(columns, settings.clusters, scope=settings.scope, start=settings.start, keep_zero=keep_zero)
    trained = settings.clusters != "all" and settings.train_levels == "together"
    return put_on_codebook(operator, before, Codebook(levels, scales, trained, ties))
