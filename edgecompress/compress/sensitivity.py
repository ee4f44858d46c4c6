"""How much a model loses when one layer alone is pruned, factorized, given fewer bits or clustered: where compression is cheap.

Each layer's kernel is changed in the prepared model (normalizations folded in), everything else stays float, and the validation data is
scored. Nothing is fine-tuned, so the losses are upper bounds that rank layers, not predictions (Han et al. 2015, figure 6, for sparsity).

| technique | the layer's kernel becomes                                                                           |
|-----------|------------------------------------------------------------------------------------------------------|
| sparsity  | the smallest |w| zero, until this share of them is                                                   |
| rank      | its best approximation of this share of its full rank (SVD over output channels)                     |
| bits      | on 2^b - 1 evenly spaced values per output channel, clipped where the squared error is smallest       |
| clusters  | on this many whole numbers, in counts of each channel's int8 scale, by k-means over the layer        |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.data import Data, as_data, fit_data
from edgecompress.compress.score import Score, score_model
from edgecompress.errors import DataError, ModelError
from edgecompress.progress import Progress, silent

if TYPE_CHECKING:
    from keras import Model

Technique: TypeAlias = Literal["sparsity", "rank", "bits", "clusters"]
Columns: TypeAlias = NDArray[np.float64]
"""[N, C] a kernel with a column for each output channel."""

DEFAULT_SAMPLES = 1000
SETTINGS: dict[Technique, tuple[float, ...]] = {
    "sparsity": (0.25, 0.5, 0.75, 0.9),
    "rank": (0.75, 0.5, 0.25),
    "bits": (6, 4, 3, 2),
    "clusters": (32, 16, 8, 4),
}
"""What is tried by default, mild first."""


@dataclass(frozen=True)
class SensitivityPoint:
    """One layer under one setting of one technique; `score` is the whole model's."""

    layer: str
    technique: Technique
    setting: float
    score: float


@dataclass(frozen=True)
class SensitivityReport:
    """Scores of a model whose layers were compressed one at a time.

    Attributes:
        metric, samples: what was scored, on how many validation samples.
        baseline: the score of the model as it came.
        weights: elements of each layer's kernel, in the model's order.
        skipped: layers that a technique does not apply to, and why.
    """

    model: str
    metric: str
    higher_is_better: bool
    samples: int
    baseline: float
    weights: dict[str, int]
    points: tuple[SensitivityPoint, ...]
    skipped: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """Of `skipped` the layers to which no technique applies, which stand in no row."""
        return tuple(reason for reason in self.skipped if reason.partition(":")[0] not in self.weights)

    def loss(self, point: SensitivityPoint) -> float:
        """How much worse than the baseline; negative when better."""
        return self.baseline - point.score if self.higher_is_better else point.score - self.baseline


def measure_sensitivity(
    model: Model,
    data: Data,
    *,
    techniques: Sequence[Technique] = tuple(SETTINGS),
    samples: int = DEFAULT_SAMPLES,
    progress: Progress = silent,
) -> SensitivityReport:
    """Score `model` with one layer compressed at a time; `model` is not changed.

    Args:
        data: its validation part is read, the first `samples` of it.

    Raises:
        DataError: no validation data, or labels that allow no score.
        ModelError: the model cannot be prepared, or no layer has a kernel.
    """
    from edgecompress.compress.kernel_columns import find_columns, find_others
    from edgecompress.compress.layers import require_computable
    from edgecompress.keras_graph.prepare import prepare

    require_computable(model)
    fitted = _first_validation(fit_data(as_data(data, "sensitivity"), model), samples)
    prepared = prepare(model)
    kernels = find_columns(prepared)
    if not kernels:
        raise ModelError(f"model {model.name!r} has no layer with a kernel", hint="sensitivity compares convolutions and dense layers")
    baseline = _score(prepared, fitted)
    points: list[SensitivityPoint] = []
    skipped = [f"{layer.name}: {type(layer).__name__} is no convolution or dense layer" for layer in find_others(prepared)]
    total = len(kernels) * sum(len(SETTINGS[technique]) for technique in techniques)
    done = 0
    for kernel in kernels:
        columns = kernel.read()
        for technique in techniques:
            reason = _not_for(technique, columns, depthwise=kernel.depthwise)
            if reason:
                skipped.append(f"{kernel.layer}: {technique}: {reason}")
            for setting in () if reason else SETTINGS[technique]:
                kernel.write(_CHANGES[technique](columns, setting))
                points.append(SensitivityPoint(kernel.layer, technique, setting, _score(prepared, fitted).value))
                progress("sensitivity", done := done + 1, total)
            done += len(SETTINGS[technique]) if reason else 0
        kernel.write(columns)
    return SensitivityReport(
        model=model.name,
        metric=baseline.metric,
        higher_is_better=baseline.higher_is_better,
        samples=baseline.n,
        baseline=baseline.value,
        weights={kernel.layer: kernel.read().size for kernel in kernels},
        points=tuple(points),
        skipped=tuple(skipped),
    )


def prune_columns(columns: Columns, sparsity: float) -> Columns:
    """The smallest |w| of the layer are zero."""
    from edgecompress.compress.prune.schedule import count_zeros

    order = np.argsort(np.abs(columns), axis=None, kind="stable")
    pruned = columns.ravel().copy()
    pruned[order[: count_zeros(columns.size, sparsity)]] = 0.0
    return pruned.reshape(columns.shape)


def truncate_columns(columns: Columns, share: float) -> Columns:
    """The best approximation of `share` of the full rank, at least 1 (Eckart and Young 1936)."""
    left, values, right = np.linalg.svd(columns, full_matrices=False)
    rank = max(1, round(share * len(values)))
    return np.asarray((left[:, :rank] * values[:rank]) @ right[:rank])


def round_columns(columns: Columns, bits: float) -> Columns:
    """w on `uniform_levels(bits)`, clipped per channel where the squared error is smallest."""
    from edgecompress.compress.grid.codebook import clipped_scales, on_levels, uniform_levels

    levels = uniform_levels(int(bits))
    return on_levels(columns, levels, clipped_scales(columns, levels, "mse"))


def cluster_columns(columns: Columns, count: float) -> Columns:
    """w on `count` whole numbers of int8 counts, found by k-means over the layer."""
    from edgecompress.compress.grid.codebook import cluster, on_levels

    levels, scales = cluster(columns, int(count), scope="layer", start="density", keep_zero=bool(np.any(columns == 0)))
    return on_levels(columns, levels, scales)


_CHANGES: dict[Technique, Callable[[Columns, float], Columns]] = {
    "sparsity": prune_columns,
    "rank": truncate_columns,
    "bits": round_columns,
    "clusters": cluster_columns,
}


def _not_for(technique: Technique, columns: Columns, *, depthwise: bool) -> str:
    if depthwise and technique in ("sparsity", "rank"):
        return "a depthwise kernel is left whole"
    if technique == "rank" and min(columns.shape) < 2:
        return "its rank is 1"
    return ""


def _first_validation(data: Data, samples: int) -> Data:
    if data.validation is None:
        raise DataError("sensitivity is measured on validation data, and the data has none", hint='return "validation": (x, y)')
    x, y = data.validation

    def first(part: object) -> object:
        return tuple(array[:samples] for array in part) if isinstance(part, tuple) else part[:samples]  # type: ignore[index]

    return replace(data, validation=(first(x), first(y)))  # type: ignore[arg-type]  # the same structure as before


def _score(model: Model, data: Data) -> Score:
    score = score_model(model, data)
    if score is None:
        raise DataError("the validation labels allow no score", hint='give the data a "metric" of your own: a function (labels, outputs)')
    return score
