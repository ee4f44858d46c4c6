"""Calls that only do `y = scale[c] * x + offset[c]`: BatchNormalization, Normalization, Rescaling, and arithmetic with constants.

Recognising them all as one thing lets one set of rules fold them: into each other, into the weights before, into the weights after.
"""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.network import Call, Operator, Value, as_float64

Vector = NDArray[np.float64]
# Ranks for which there are weights to fold into, or a depthwise convolution to stand in: [N, C] to [N, H, W, C].
_FLAT, _IMAGE = 2, 4


@dataclass(frozen=True, eq=False)
class Affine:
    """`y = scale * x + offset`, one pair a channel.

    Args:
        scale, offset: [C].
    """

    scale: Vector
    offset: Vector

    def then(self, other: "Affine") -> "Affine":
        """This one first, `other` after it."""
        return replace(self, scale=other.scale * self.scale, offset=other.scale * self.offset + other.offset)

    def same_as(self, other: "Affine") -> bool:
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.offset, other.offset)


def read_affine(call: Call) -> Affine | None:
    """The scale and offset of a call, or None when it is not affine along the last axis."""
    if len(call.inputs) != 1 or len(call.outputs) != 1 or not call.output.is_float or not call.inputs[0].is_float:
        return None
    if not _FLAT <= call.inputs[0].rank <= _IMAGE:
        return None
    kind = call.operator.kind
    if kind is keras.layers.BatchNormalization:
        return _of_batch_normalization(call.operator, call.inputs[0])
    if kind is keras.layers.Normalization:
        return _of_normalization(call.operator, call.inputs[0])
    if kind is keras.layers.Rescaling:
        return _of_rescaling(call.operator, call.inputs[0])
    if not call.operator.is_layer:
        return _of_arithmetic(call)
    return None


def _of_batch_normalization(operator: Operator, source: Value) -> Affine | None:
    config, weights = operator.config or {}, list(operator.weights or [])
    if not _is_last_axis(config.get("axis", -1), source.rank) or len(weights) != 2 + bool(config["scale"]) + bool(config["center"]):
        return None
    gamma = as_float64(weights.pop(0)) if config["scale"] else np.ones(source.channels)
    beta = as_float64(weights.pop(0)) if config["center"] else np.zeros(source.channels)
    mean, variance = as_float64(weights[0]), as_float64(weights[1])
    scale = gamma / np.sqrt(variance + float(config["epsilon"]))
    return Affine(scale, beta - mean * scale)


def _of_normalization(operator: Operator, source: Value) -> Affine | None:
    config, layer = operator.config or {}, operator.source
    axis = config.get("axis")
    if layer is None or getattr(layer, "mean", None) is None or not (axis is None or _is_last_axis(axis, source.rank)):
        return None
    mean = _per_channel(np.asarray(layer.mean), source)
    variance = _per_channel(np.asarray(layer.variance), source)
    if mean is None or variance is None:
        return None
    deviation = np.maximum(np.sqrt(variance), keras.backend.epsilon())
    if config.get("invert"):
        return Affine(deviation, mean)
    return Affine(1.0 / deviation, -mean / deviation)


def _of_rescaling(operator: Operator, source: Value) -> Affine | None:
    config = operator.config or {}
    scale, offset = _per_channel(config["scale"], source), _per_channel(config["offset"], source)
    return None if scale is None or offset is None else Affine(scale, offset)


def _of_arithmetic(call: Call) -> Affine | None:
    """`x + 3`, `1 - x`, `x * 0.5`, `x / 255`, `-x` and their named forms."""
    if call.operator.kind.__name__ == "Negative":
        return Affine(-np.ones(call.inputs[0].channels), np.zeros(call.inputs[0].channels))
    if len(call.args) != 2 or call.kwargs or call.output.shape != call.inputs[0].shape:
        return None
    source = call.inputs[0]
    value_first = isinstance(call.args[0], Value)
    constant = _per_channel(call.args[1] if value_first else call.args[0], source)
    if constant is None:
        return None
    return _combine(call.operator.kind.__name__, constant, value_first)


def _combine(operation: str, constant: Vector, value_first: bool) -> Affine | None:
    ones, zeros = np.ones_like(constant), np.zeros_like(constant)
    match operation:
        case "Add":
            return Affine(ones, constant)
        case "Multiply":
            return Affine(constant, zeros)
        case "Subtract":
            return Affine(ones, -constant) if value_first else Affine(-ones, constant)
        case "Divide" | "TrueDivide" if value_first and np.all(constant != 0):
            return Affine(1.0 / constant, zeros)
    return None


def _is_last_axis(axis: Any, rank: int) -> bool:  # noqa: ANN401 - Keras gives an int or a one-element list
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    return len(axes) == 1 and int(axes[0]) % rank == rank - 1


def _per_channel(constant: Any, source: Value) -> Vector | None:  # noqa: ANN401
    """[C] when the constant varies along the last axis only."""
    try:
        array = np.asarray(constant, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if array.size == 1:
        return np.full(source.channels, float(array.reshape(())) if array.ndim == 0 else float(array.reshape(-1)[0]))
    if array.size == source.channels and array.shape[-1] == source.channels and array.ndim <= source.rank:
        return array.reshape(-1)
    return None
