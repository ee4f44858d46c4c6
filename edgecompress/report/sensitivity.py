"""How much each layer costs when it is compressed alone: a table, and a picture with a panel for each technique."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_TITLES = {
    "sparsity": "zeros among the weights",
    "rank": "share of the full rank",
    "bits": "bits a weight",
    "clusters": "values a layer",
}
# Cells hold their number up to this many layers; beyond it the colour alone is readable.
_MOST_NUMBERED_LAYERS = 40
_ROW_INCHES, _CELL_INCHES, _MARGIN_INCHES = 0.26, 0.62, 1.5


class Point(Protocol):
    """One layer under one setting."""

    @property
    def layer(self) -> str: ...
    @property
    def technique(self) -> str: ...
    @property
    def setting(self) -> float: ...


class Report(Protocol):
    """What `compress.sensitivity.SensitivityReport` holds."""

    @property
    def model(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def samples(self) -> int: ...
    @property
    def baseline(self) -> float: ...
    @property
    def weights(self) -> dict[str, int]: ...
    @property
    def points(self) -> Sequence[Any]: ...
    def loss(self, point: Any) -> float: ...  # noqa: ANN401  the report's own points


def sensitivity_columns(report: Report) -> list[str]:
    """Headings: layer, weights, then `technique setting` in the order they were measured."""
    return ["layer", "weights", *(f"{technique} {_setting(setting)}" for technique, setting in _columns(report))]


def sensitivity_rows(report: Report) -> list[list[str]]:
    """One row a layer: how much worse the model scores (percentage points of an accuracy), `-` where a technique does not apply."""
    losses = {(point.layer, point.technique, point.setting): report.loss(point) for point in report.points}
    return [
        [layer, f"{count:,}", *(_loss(losses.get((layer, *column)), report.metric) for column in _columns(report))]
        for layer, count in report.weights.items()
    ]


def draw_sensitivity(report: Report) -> str:
    """The losses as an SVG picture: rows are layers, a panel a technique, red is costly."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    techniques = list(dict.fromkeys(point.technique for point in report.points))
    layers = list(report.weights)
    grids = {technique: _grid(report, technique) for technique in techniques}
    highest = max((float(np.nanmax(values)) for _, values in grids.values() if np.isfinite(values).any()), default=0.0)
    widths = [len(settings) for settings, _ in grids.values()]
    size = (_MARGIN_INCHES + 1.2 + _CELL_INCHES * sum(widths) + 0.4 * len(widths), _MARGIN_INCHES + _ROW_INCHES * len(layers))
    # Ids in the file follow this word instead of chance: the same report draws the same bytes.
    with mpl.rc_context({"svg.hashsalt": "edgecompress", "font.size": 8}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(techniques), sharey=True, squeeze=False, gridspec_kw={"width_ratios": widths})[0]
        for axis, technique in zip(axes, techniques, strict=True):
            settings, values = grids[technique]
            _draw_panel(axis, settings, values, max(highest, 1e-9))
            axis.set_title(technique)
            axis.set_xlabel(_TITLES.get(technique, ""))
        axes[0].set_yticks(range(len(layers)), layers)
        unit = "points of accuracy" if report.metric == "accuracy" else report.metric
        figure.suptitle(f"{report.model}: {unit} lost when one layer is compressed ({report.samples} validation samples)")
        picture = io.StringIO()
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": "edgecompress"})
    return picture.getvalue()


def _draw_panel(axis: Axes, settings: Sequence[float], values: NDArray[np.float64], highest: float) -> None:
    axis.imshow(np.clip(values, 0, highest), cmap="Reds", vmin=0, vmax=highest, aspect="auto")
    axis.set_xticks(range(len(settings)), [_setting(setting) for setting in settings])
    axis.tick_params(length=0)
    if len(values) <= _MOST_NUMBERED_LAYERS:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "white" if value > highest / 2 else "black"
                axis.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=7)


def _grid(report: Report, technique: str) -> tuple[list[float], NDArray[np.float64]]:
    settings = [setting for name, setting in _columns(report) if name == technique]
    layers = list(report.weights)
    factor = 100.0 if report.metric == "accuracy" else 1.0
    values = np.full((len(layers), len(settings)), np.nan)
    for point in report.points:
        if point.technique == technique:
            values[layers.index(point.layer), settings.index(point.setting)] = factor * report.loss(point)
    return settings, values


def _columns(report: Report) -> list[tuple[str, float]]:
    return list(dict.fromkeys((point.technique, point.setting) for point in report.points))


def _setting(value: float) -> str:
    return f"{value:.0%}" if 0 < value < 1 else f"{value:g}"


def _loss(loss: float | None, metric: str) -> str:
    if loss is None:
        return "-"
    return f"{100 * loss:+.1f}" if metric == "accuracy" else f"{loss:+.4g}"
