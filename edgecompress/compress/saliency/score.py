"""Saliency of a model's weights, neurons, channels and layers: one door for every pass.

Higher means: keep. The same arguments give the same scores. What exists for what is the table of `edgecompress.recipe.saliency`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data
from edgecompress.compress.prune.kernels import Kernel
from edgecompress.compress.saliency import criteria
from edgecompress.compress.saliency.activations import ActivationRecord, record_activations
from edgecompress.compress.saliency.by_gradient import channels_by_gradient, layers_by_gradient, weights_by_gradient
from edgecompress.compress.saliency.criteria import Floats
from edgecompress.compress.saliency.gradients import batch_gradients
from edgecompress.compress.saliency.layer_inputs import weights_by_input
from edgecompress.compress.saliency.normalization import normalization_scales
from edgecompress.compress.saliency.output_entropy import output_entropy_changes
from edgecompress.compress.saliency.units import as_rows, find_layers, kernel_variable, unit_of
from edgecompress.errors import RecipeError
from edgecompress.progress import Progress, silent
from edgecompress.recipe.saliency import Criterion, Order, Unit, missing_criterion

DEFAULT_SAMPLES = 256
DEFAULT_BATCH = 32

_OF_ROWS: dict[Criterion, Callable[[NDArray[np.floating]], Floats]] = {
    Criterion.L1: criteria.l1_norm,
    Criterion.L2: criteria.l2_norm,
    Criterion.MEAN: criteria.weight_mean,
    Criterion.VARIANCE: criteria.weight_variance,
    Criterion.WEIGHT_ENTROPY: criteria.weight_entropy,
}
_OF_RECORD: dict[Criterion, Callable[[ActivationRecord], Floats]] = {
    Criterion.ACTIVATION_MEAN: lambda record: record.mean_size,
    Criterion.ACTIVATION_ZEROS: lambda record: record.nonzero_share,
    Criterion.ACTIVATION_ENTROPY: lambda record: criteria.activation_entropy(record.pooled_samples),
}


def score_weights(
    model: keras.Model,
    kernels: Sequence[Kernel],
    criterion: Criterion,
    data: Data,
    *,
    samples: int = DEFAULT_SAMPLES,
    batch_size: int = DEFAULT_BATCH,
    seed: int = 0,
    progress: Progress = silent,
    order: Order = "low_first",
) -> list[Floats]:
    """The saliency of every weight: one array a kernel, of its shape.

    Args:
        samples, batch_size: what a criterion that reads data reads: the first training samples, or calibration inputs.
        seed: of `random`.
        order: `high_first` turns the signs.

    Raises:
        RecipeError: the criterion does not exist for weights, or not for one of these layers.
        DataError: the data that it reads is missing.
    """
    _require(criterion, Unit.WEIGHT)
    weights = [np.asarray(kernel.variable.value) for kernel in kernels]
    match criterion:
        case Criterion.L1 | Criterion.L2:
            scores = [np.abs(w).astype(np.float64) for w in weights]
        case Criterion.RANDOM:
            scores = criteria.random_scores([w.shape for w in weights], seed)
        case Criterion.GRADIENT | Criterion.TAYLOR:
            variables = [kernel.variable for kernel in kernels]
            batches = batch_gradients(model, variables, data, samples=samples, batch_size=batch_size, progress=progress)
            scores = weights_by_gradient(criterion, weights, batches)
        case Criterion.INPUT_NORM | Criterion.OUTPUT_ERROR:
            scores = weights_by_input(model, kernels, criterion, data, samples=samples, batch_size=batch_size, progress=progress)
        case _:
            raise RecipeError(
                f"saliency {criterion.value!r} is measured while a model trains", hint="it is for the step `prune` with epochs above 0"
            )
    return [_ordered(array, order) for array in scores]


def score_channels(
    model: keras.Model,
    layers: Sequence[str],
    criterion: Criterion,
    data: Data,
    *,
    samples: int = DEFAULT_SAMPLES,
    batch_size: int = DEFAULT_BATCH,
    seed: int = 0,
    progress: Progress = silent,
    order: Order = "low_first",
) -> dict[str, Floats]:
    """The saliency of each layer's neurons or channels: [units] by the layer's path.

    Args:
        layers: paths of Dense, Conv, DepthwiseConv, SeparableConv or ConvTranspose layers ("block/conv").
        samples, batch_size, seed, order: see `score_weights`.

    Raises:
        RecipeError: the criterion does not exist for these units, or a layer has none, or no BatchNormalization.
        DataError: the data that it reads is missing.
    """
    found = find_layers(model, layers)
    for layer in found.values():
        _require(criterion, unit_of(layer))
    rows = {path: as_rows(layer, kernel_variable(layer).value) for path, layer in found.items()}
    match criterion:
        case Criterion.RANDOM:
            numbers = criteria.random_scores([(len(array),) for array in rows.values()], seed)
            scores = dict(zip(rows, numbers, strict=True))
        case Criterion.GRADIENT | Criterion.TAYLOR:
            variables = [kernel_variable(layer) for layer in found.values()]
            batches = batch_gradients(model, variables, data, samples=samples, batch_size=batch_size, progress=progress)
            scores = channels_by_gradient(criterion, found, batches)
        case Criterion.OUTPUT_ENTROPY:
            masks = {path: 1.0 - np.eye(len(array)) for path, array in rows.items()}
            scores = output_entropy_changes(model, masks, data, samples=samples, progress=progress)
        case Criterion.ACTIVATION_MEAN | Criterion.ACTIVATION_ZEROS | Criterion.ACTIVATION_ENTROPY:
            records = record_activations(model, layers, data, samples=samples, batch_size=batch_size, progress=progress)
            scores = {path: _OF_RECORD[criterion](record) for path, record in records.items()}
        case Criterion.BN_SCALE:
            scores = normalization_scales(model, layers)
        case _:
            scores = {path: _OF_ROWS[criterion](array) for path, array in rows.items()}
    return {path: _ordered(array, order) for path, array in scores.items()}


def score_layers(
    model: keras.Model,
    layers: Sequence[str],
    criterion: Criterion,
    data: Data,
    *,
    samples: int = DEFAULT_SAMPLES,
    batch_size: int = DEFAULT_BATCH,
    seed: int = 0,
    progress: Progress = silent,
    order: Order = "low_first",
) -> dict[str, float]:
    """The saliency of whole layers, by path; see `score_channels`.

    Layers differ in size, so the L1 norm is a mean of |w| here, the L2 norm a root mean square, and so for gradients and Taylor terms.
    Activation and BatchNormalization criteria are the mean over a layer's units; mean, variance and entropy are those of all its weights;
    `output_entropy` removes the whole layer.

    Raises:
        RecipeError, DataError: as `score_channels`.
    """
    found = find_layers(model, layers)
    _require(criterion, Unit.LAYER)
    weights = {path: np.asarray(kernel_variable(layer).value).reshape(1, -1) for path, layer in found.items()}
    match criterion:
        case Criterion.RANDOM:
            scores = dict(zip(found, criteria.random_scores([()] * len(found), seed), strict=True))
        case Criterion.GRADIENT | Criterion.TAYLOR:
            variables = [kernel_variable(layer) for layer in found.values()]
            batches = batch_gradients(model, variables, data, samples=samples, batch_size=batch_size, progress=progress)
            scores = dict(zip(found, layers_by_gradient(criterion, list(weights.values()), batches), strict=True))
        case Criterion.OUTPUT_ENTROPY:
            masks = {path: np.zeros((1, len(as_rows(layer, kernel_variable(layer).value)))) for path, layer in found.items()}
            scores = output_entropy_changes(model, masks, data, samples=samples, progress=progress)
        case Criterion.L1:
            scores = {path: criteria.l1_norm(row) / row.size for path, row in weights.items()}
        case Criterion.L2:
            scores = {path: criteria.l2_norm(row) / np.sqrt(row.size) for path, row in weights.items()}
        case Criterion.MEAN | Criterion.VARIANCE | Criterion.WEIGHT_ENTROPY:
            scores = {path: _OF_ROWS[criterion](row) for path, row in weights.items()}
        case _:
            scores = dict(
                score_channels(model, layers, criterion, data, samples=samples, batch_size=batch_size, seed=seed, progress=progress)
            )
    return {path: float(_ordered(np.asarray(score, np.float64).mean(keepdims=True), order).item()) for path, score in scores.items()}


def _require(criterion: Criterion, unit: Unit) -> None:
    problem = missing_criterion(criterion, unit)
    if problem:
        raise RecipeError(problem, hint="docs/passes/prune.md has the table")


def _ordered(scores: Floats, order: Order) -> Floats:
    return np.negative(scores) if order == "high_first" else scores
