"""Quantization-aware training: a float Keras model in, the same model computing on the int8 grid out; and back to what is converted.

    qat = quantization_aware(model)          train it with compile() and fit() as any model
    view = export_view(qat)                  hand it to `convert(view, trained_ranges=True)`

docs/quantization.md has the table of which layers get ranges where; `placement` is that table as code.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.int8.fake_quant import FLOAT_KINDS, INT8_KINDS, FakeQuant
from edgecompress.compress.int8.layers import has_codebook, keep_zeros_of_codebook, restore_kernels, round_kernel
from edgecompress.compress.int8.placement import RANGE_SUFFIX, SYMMETRIC_BITS, place_ranges
from edgecompress.compress.int8.roles import Role, part_of
from edgecompress.errors import ModelError, UnsupportedOpError
from edgecompress.keras_graph.network import Call, Network, Operator
from edgecompress.keras_graph.prepare import prepare_network
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.keras_graph.weighted import bias_of, is_weighted, kernel_of, set_kernel_and_bias

ANY_LAYER = "*"
"""In `allow_float`: every layer."""

_NAMED = 5
"""Layers that a message lists by name."""


@dataclass(frozen=True)
class FloatLayer:
    """A layer that has no int8 form.

    Args:
        kind: its Keras class.
        way_out: what to do about it.
    """

    name: str
    kind: str
    way_out: str


@dataclass(frozen=True)
class Grid:
    """The integers that training rounds to.

    Args:
        per_tensor: one scale for each kernel instead of one for each of its output channels. Layers on a codebook keep one a channel.
        activation_bits: 8, or 16 (symmetric).
        keep_zeros: weights that are exactly zero now (pruned ones) stay zero in training.
        add_biases: every layer with weights gets a bias, for what will be corrected.
    """

    per_tensor: bool = False
    activation_bits: Literal[8, 16] = 8
    keep_zeros: bool = True
    add_biases: bool = False


def quantization_aware(model: Any, *, allow_float: Sequence[str] = (), keep_zeros: bool = True, grid: Grid | None = None) -> Any:  # noqa: ANN401 - keras.Model
    """A trainable copy of `model` that rounds weights and activations as int8 inference will.

    The model is prepared first (normalizations folded, dropout gone; see `keras_graph.prepare`); penalties and constraints on weights are
    dropped, as they were meant for the unfolded ones. Layers on a codebook (see `levels`) stay on it. Ranges are learned from the first
    training batches: train at least one, or call `observe_ranges`, before `export_view`.

    Args:
        allow_float: names of layers that may stay float; "*" allows any.
        keep_zeros: weights that are exactly zero now (pruned ones) stay zero in training.
        grid: other integers than int8 with a scale a channel; then its own keep_zeros counts.

    Raises:
        UnsupportedOpError: layers that would stay float, each with a way out.
        ModelError: the model cannot be read, or is quantization-aware already.
    """
    return insert_rounding(prepare_network(model), grid or Grid(keep_zeros=keep_zeros), allow_float=allow_float)


def insert_rounding(network: Network, grid: Grid, *, allow_float: Sequence[str] = ()) -> Any:  # noqa: ANN401 - keras.Model
    """As `quantization_aware`, from a prepared network, which is changed."""
    if any(operator.kind is FakeQuant for operator in network.operators()):
        raise ModelError(f"{network.name} is quantization-aware already", hint="go on training it with fit(), or export it")
    refuse_float_layers(network, allow_float)
    if grid.activation_bits == SYMMETRIC_BITS:
        _refuse_joins(network)
    place_ranges(network, bits=grid.activation_bits)
    for operator in list(network.operators()):
        if is_weighted(operator):
            if grid.add_biases:
                set_kernel_and_bias(operator, kernel_of(operator), bias_of(operator))
            round_kernel(operator, keep_zeros=grid.keep_zeros)
            operator.config = {**(operator.config or {}), "per_tensor": grid.per_tensor}
        elif grid.keep_zeros and has_codebook(operator):
            keep_zeros_of_codebook(operator)
    return build_model(network)


def export_view(model: Any) -> Any:  # noqa: ANN401
    """The trained model as it is to be converted: plain float kernels, activation ranges as constants.

    The converter derives the same int8 kernels from the float ones, with a scale for each channel; kernels with a scale a tensor therefore
    keep their rounding. Layers keep their names.

    Raises:
        ModelError: a range that never saw a batch, or a model without ranges.
    """
    network = read_network(model)
    if not any(operator.kind is FakeQuant for operator in network.operators()):
        raise ModelError(f"{network.name} has no trained ranges", hint="make it with quantization_aware() and train it first")
    frozen = {operator: _freeze_range(network, operator) for operator in list(network.operators()) if operator.kind is FakeQuant}
    for call in network.calls:
        if call.operator in frozen:
            call.operator, call.kwargs = frozen[call.operator], {}
    per_tensor = [operator for operator in network.operators() if _has_one_scale(operator)]
    restore_kernels(network)
    for operator in per_tensor:
        # With its rounding in the graph the converter takes the scale from there.
        operator.kind = INT8_KINDS[operator.kind]
        operator.config = {**(operator.config or {}), "per_tensor": True}
    return build_model(network)


def _has_one_scale(operator: Operator) -> bool:
    return operator.kind in FLOAT_KINDS and bool((operator.config or {})["per_tensor"]) and not has_codebook(operator)


def observe_ranges(model: Any, batches: Iterable[Any]) -> None:  # noqa: ANN401
    """Let a quantization-aware model see batches without training it.

    Args:
        batches: what the model takes, without labels.
    """
    for batch in batches:
        model(batch, training=True)


def float_layers(model: Any) -> list[FloatLayer]:  # noqa: ANN401
    """Layers of a float model that have no int8 form, in order."""
    return _float_layers(prepare_network(model))


def needs_calibration(model: Any) -> list[str]:  # noqa: ANN401
    """Layers of several kernels (attention, unrolled recurrence) whose inner ranges only calibration data can show.

    A quantization-aware model that has them is converted with calibration data as well; trained ranges win where both exist.
    """
    network = read_network(model)
    ranged = [call for call in network.calls if call.operator.kind is not FakeQuant and call.operator.kind not in FLOAT_KINDS]
    names = [call.operator.name for call in ranged if part_of(call).role in (Role.OPAQUE, Role.FLOAT)]
    return list(dict.fromkeys(names))


def refuse_float_layers(network: Network, allow_float: Sequence[str]) -> None:
    """Raise UnsupportedOpError for layers that would stay float and are not allowed to."""
    if ANY_LAYER in allow_float:
        return
    refused = [layer for layer in _float_layers(network) if layer.name not in allow_float]
    if not refused:
        return
    named = ", ".join(f"{layer.name} ({layer.kind})" for layer in refused[:_NAMED])
    more = f" and {len(refused) - _NAMED} more" if len(refused) > _NAMED else ""
    raise UnsupportedOpError(
        f"{'this layer' if len(refused) == 1 else 'these layers'} would stay float: {named}{more}",
        hint=f"{refused[0].name}: {refused[0].way_out}; or let {_allowing(refused)}",
    )


def _allowing(refused: Sequence[FloatLayer]) -> str:
    options = [f"--allow-float {layer.name}" for layer in refused] if len(refused) <= _NAMED else [f'--allow-float "{ANY_LAYER}"']
    return f"{'it' if len(refused) == 1 else 'them'} stay float with {' '.join(options)}"


def _refuse_joins(network: Network) -> None:
    """The converter (TensorFlow 2.21) knows no concatenation of 16-bit tensors whose ranges are in the graph; calibrated ones it does."""
    joined = next((call.operator for call in network.calls if part_of(call).role is Role.JOIN), None)
    if joined is not None:
        raise UnsupportedOpError(
            f"{joined.describe()}: TensorFlow's converter takes no 16-bit ranges of ours through it",
            hint="mode 'int16x8' with method 'ptq' and nothing else set lets the converter find the ranges; or use mode 'int8'",
        )


def _float_layers(network: Network) -> list[FloatLayer]:
    found: dict[str, FloatLayer] = {}
    for call in network.calls:
        part = part_of(call)
        if part.role is Role.FLOAT and any(value.is_float for value in call.outputs):
            found.setdefault(call.operator.name, FloatLayer(call.operator.name, call.operator.kind.__name__, part.way_out))
    return list(found.values())


def _freeze_range(network: Network, operator: Operator) -> Operator:
    config, weights = operator.config or {}, operator.weights or []
    low, high = config["low"], config["high"]
    if low is None or high is None:
        ranges = weights[0]
        if not np.all(ranges[:, 2] > 0):
            layer = operator.name.removesuffix(RANGE_SUFFIX)
            raise ModelError(
                f"{layer}: its output range never saw a training batch",
                hint="train the quantization-aware model with fit(), or show it data with observe_ranges()",
            )
        low, high = _range_of(ranges, operator.name)
    if config["bits"] == SYMMETRIC_BITS:
        high = max(high, -low)
        low = -high
    frozen = {"name": operator.name, "low": low, "high": high, "bits": config["bits"]}
    return Operator(operator.name, FakeQuant, frozen, weights=[], source=operator.source)


def _range_of(ranges: NDArray[Any], name: str) -> tuple[float, float]:
    low, high = float(ranges[:, 0].min()), float(ranges[:, 1].max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise ModelError(
            f"{name.removesuffix(RANGE_SUFFIX)}: its output range is {low} to {high}", hint="training diverged: lower the learning rate"
        )
    return (low, high) if high > low else (0.0, 1.0)


def range_calls(network: Network) -> list[Call]:
    """Every place of a range, for reports and tests."""
    return [call for call in network.calls if call.operator.kind is FakeQuant]
