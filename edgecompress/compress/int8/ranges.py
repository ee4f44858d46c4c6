"""The ranges of a quantization-aware model from calibration data, by a calibrator.

The float model's activations are read; nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.int8.calibrators import (
    Bounds,
    Histogram,
    entropy_bounds,
    extremes,
    moving_average,
    mse_bounds,
    percentile_bounds,
    widest,
)
from edgecompress.compress.int8.fake_quant import FakeQuant
from edgecompress.compress.int8.playback import FloatSide, Playback
from edgecompress.errors import DataError
from edgecompress.keras_graph.network import Call, Network
from edgecompress.keras_graph.walk import read_network
from edgecompress.recipe import QuantizeSettings

_Tap = tuple[str, int]
"""Name of a range, and the slot of one of its tensors."""
_Observer = Callable[[_Tap, NDArray[np.float32], bool], None]


def calibrate_ranges(model: Any, batches: Callable[[], Iterable[Any]], settings: QuantizeSettings) -> None:  # noqa: ANN401 - keras.Model
    """Set every range of `model` (from `quantization_aware`) by `settings.calibrator`.

    Args:
        batches: gives the calibration batches in the model's structure; asked twice by calibrators that read a histogram.

    Raises:
        DataError: an activation is NaN or infinite; the layer is named.
    """
    network, side = read_network(model), FloatSide()
    seen: dict[_Tap, list[Bounds]] = {}

    def observe_extremes(tap: _Tap, values: NDArray[np.float32], nonnegative: bool) -> None:
        bounds = extremes(values)
        if not np.isfinite(bounds.magnitude):
            raise DataError(
                f"{tap[0]}: an activation on the calibration data is {bounds.magnitude}",
                hint="check the calibration inputs and the weights",
            )
        seen.setdefault(tap, []).append(Bounds(0.0, bounds.high) if nonnegative else bounds)

    _walk(network, batches(), side, observe_extremes)
    if settings.calibrator == "min_max":
        chosen = {tap: widest(bounds) for tap, bounds in seen.items()}
    elif settings.calibrator == "moving_average":
        chosen = {tap: moving_average(bounds, settings.momentum) for tap, bounds in seen.items()}
    else:
        chosen = {tap: _from_histogram(histogram, settings) for tap, histogram in _histograms(network, batches(), side, seen).items()}
    _set_ranges(model, chosen)


def _histograms(network: Network, batches: Iterable[Any], side: FloatSide, seen: dict[_Tap, list[Bounds]]) -> dict[_Tap, Histogram]:
    histograms = {tap: Histogram(widest(bounds).magnitude) for tap, bounds in seen.items()}

    def count(tap: _Tap, values: NDArray[np.float32], nonnegative: bool) -> None:
        histograms[tap].add(np.maximum(values, 0) if nonnegative else values)

    _walk(network, batches, side, count)
    return histograms


def _from_histogram(histogram: Histogram, settings: QuantizeSettings) -> Bounds:
    match settings.calibrator:
        case "percentile":
            return percentile_bounds(histogram, settings.percentile)
        case "entropy":
            return entropy_bounds(histogram)
        case _:
            return mse_bounds(histogram)


def _walk(network: Network, batches: Iterable[Any], side: FloatSide, observe: _Observer) -> None:
    """Show an observer every tensor that has a range to learn, batch by batch."""
    for batch in batches:
        playback = Playback(network, [batch], side)
        for call in network.calls:
            if _is_observed(call):
                values = np.asarray(playback.tensors(call.inputs[0])[0])
                observe((call.operator.name, int(call.kwargs.get("slot", 0))), values, bool(call.kwargs.get("nonnegative", False)))
            playback.compute(call)


def _is_observed(call: Call) -> bool:
    return call.operator.kind is FakeQuant and (call.operator.config or {})["low"] is None and int(call.kwargs.get("slot", 0)) >= 0


def _set_ranges(model: Any, chosen: dict[_Tap, Bounds]) -> None:  # noqa: ANN401
    rows: dict[str, NDArray[np.float32]] = {}
    for (name, slot), bounds in chosen.items():
        table = rows.setdefault(name, np.zeros(model.get_layer(name).ranges.shape, np.float32))
        table[slot] = bounds.low, bounds.high, 1
    for name, table in rows.items():
        model.get_layer(name).ranges.assign(table)
