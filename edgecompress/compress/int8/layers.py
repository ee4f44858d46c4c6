"""Operators between their float and their int8 kinds: `Conv2D` to `Int8Conv2D` for training, and back to what is converted."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.grid.levels import integers_on_levels, moved_levels
from edgecompress.compress.int8.fake_quant import FLOAT_KINDS, INT8_KINDS, INT8_OPTIONS, int8_weight_names
from edgecompress.keras_graph.network import Network, Operator, as_float32
from edgecompress.keras_graph.quirks import make_biases_differ
from edgecompress.keras_graph.rebuild import build_model
from edgecompress.keras_graph.walk import read_network
from edgecompress.keras_graph.weighted import is_depthwise, is_transposed, kernel_of

# Bounds and penalties that were meant for a kernel before its normalization was folded in: on the folded one they would do harm.
_FOR_UNFOLDED_KERNELS = (
    "kernel_regularizer",
    "kernel_constraint",
    "depthwise_regularizer",
    "depthwise_constraint",
    "bias_regularizer",
    "bias_constraint",
)
# A kernel this much smaller or larger than a freshly initialised one gets a gain, so that the optimizer's steps keep their usual effect.
_UNUSUAL_SIZE = 8.0


@dataclass(frozen=True, eq=False)
class Codebook:
    """The whole numbers that a kernel may hold, and the size of one.

    Attributes:
        levels: [G, K] ascending, from -127 to 127; G is 1 for the whole layer, or C for one codebook an output channel.
        scales: [C] > 0.
        trained: levels move in training.
        ties: [C] the channel whose integers each channel uses; None: its own.
    """

    levels: NDArray[np.float64]
    scales: NDArray[np.float64]
    trained: bool
    ties: NDArray[np.int32] | None = None


@dataclass(frozen=True, eq=False)
class Integers:
    """A kernel as the .tflite holds it.

    Attributes:
        whole: [N, C] whole numbers in [-127, 127], a column for each output channel.
        scales: [C].
        groups: codebooks: 1, or C.
        tied: output channels that use another one's integers.
    """

    whole: NDArray[np.float32]
    scales: NDArray[np.float32]
    groups: int
    tied: int


def columns_of(operator: Operator, kernel: NDArray[Any]) -> NDArray[Any]:
    """[N, C]: a kernel of the operator with one column for each output channel."""
    if is_transposed(operator):
        kernel = kernel.swapaxes(-1, -2)
    return kernel.reshape(-1, kernel.shape[-1] * (kernel.shape[-2] if is_depthwise(operator) else 1))


def kernel_of_columns(operator: Operator, columns: NDArray[Any]) -> NDArray[Any]:
    """A kernel of the operator's shape from `columns_of` it."""
    shape = kernel_of(operator).shape
    if is_transposed(operator):
        return columns.reshape(*shape[:-2], shape[-1], shape[-2]).swapaxes(-1, -2)
    return columns.reshape(shape)


def round_kernel(operator: Operator, *, keep_zeros: bool, codebook: Codebook | None = None) -> None:
    """Give a float layer its int8 kind, on all int8 values or on a codebook.

    Args:
        keep_zeros: weights that are exactly zero stay so in training.
    """
    kernel = kernel_of(operator)
    gain = _gain(kernel)
    masked = keep_zeros and bool(np.any(kernel == 0)) and bool(np.any(kernel))
    operator.kind = INT8_KINDS[operator.kind]
    config = {key: value for key, value in (operator.config or {}).items() if key not in _FOR_UNFOLDED_KERNELS}
    weights = operator.weights or []
    named: dict[str, NDArray[Any]] = {"kernel": as_float32(kernel / gain), "kernel_mask": as_float32(kernel != 0)}
    if len(weights) > 1:
        named["bias"] = weights[1]
    options = {"kernel_gain": gain, "keep_zeros": masked, **_codebook_options(codebook)}
    operator.config = {**config, **options}
    if codebook is not None:
        named |= _codebook_weights(codebook, options["levels_scope"])
    operator.weights = [named[name] for name in int8_weight_names(operator.config)]


def _codebook_options(codebook: Codebook | None) -> dict[str, Any]:
    if codebook is None:
        return {"levels": 0, "levels_scope": "layer", "train_levels": False, "tied": False}
    scope: Literal["layer", "channel"] = "layer" if codebook.levels.shape[0] == 1 else "channel"
    return {
        "levels": codebook.levels.shape[1],
        "levels_scope": scope,
        "train_levels": codebook.trained,
        "tied": codebook.ties is not None,
    }


def _codebook_weights(codebook: Codebook, scope: str) -> dict[str, NDArray[Any]]:
    levels = as_float32(codebook.levels[0] if scope == "layer" else codebook.levels)
    named: dict[str, NDArray[Any]] = {
        "kernel_log_scales": as_float32(np.log2(codebook.scales)),
        "level_shifts": np.zeros_like(levels),
        "kernel_levels": levels,
    }
    if codebook.ties is not None:
        named["kernel_ties"] = codebook.ties.astype(np.int32)
    return named


def restore_kernel(operator: Operator) -> None:
    """Give an int8 layer its float kind, with the kernel that becomes the wanted integers when it is converted."""
    config, named = dict(operator.config or {}), _named_weights(operator)
    kernel = _float_kernel(operator, named)
    if config["levels"]:
        integers = integers_of(operator)
        kernel = kernel_of_columns(operator, integers.whole * integers.scales)
    operator.kind = FLOAT_KINDS[operator.kind]
    operator.config = {key: value for key, value in config.items() if key not in INT8_OPTIONS}
    operator.weights = [as_float32(kernel), *([named["bias"]] if "bias" in named else [])]


def keep_zeros_of_codebook(operator: Operator) -> None:
    """Let the weights of a layer on a codebook that are zero now stay so in training."""
    config, named = operator.config or {}, _named_weights(operator)
    if not config["keep_zeros"] and np.any(named["kernel"] == 0):
        named["kernel_mask"] = as_float32(named["kernel"] != 0)
        operator.config = {**config, "keep_zeros": True}
        operator.weights = [named[name] for name in int8_weight_names(operator.config)]


def has_codebook(operator: Operator) -> bool:
    return operator.kind in FLOAT_KINDS and bool((operator.config or {})["levels"])


def integers_of(operator: Operator) -> Integers:
    """The integers of a layer on a codebook."""
    config, named = operator.config or {}, _named_weights(operator)
    levels = np.reshape(named["kernel_levels"], (-1, config["levels"]))
    if config["train_levels"]:
        levels = moved_levels(levels, np.reshape(named["level_shifts"], levels.shape))
    columns = as_float32(columns_of(operator, _float_kernel(operator, named)))
    # By TensorFlow, as in training: a weight at the border of two levels must not go the other way.
    whole, scales = integers_on_levels(columns, named["kernel_log_scales"], levels, named.get("kernel_ties"))
    ties = named.get("kernel_ties")
    tied = 0 if ties is None else int(np.count_nonzero(ties != np.arange(len(ties))))
    return Integers(np.asarray(whole), np.asarray(scales), levels.shape[0], tied)


def plain_kernels(model: Any) -> Any:  # noqa: ANN401 - keras.Model
    """`model` with float layers in place of those on a codebook, their kernels the very numbers that they compute with.

    The converter finds each codebook's integers in them again. A model without such layers is given back as it is.
    """
    if not any(isinstance(layer, tuple(FLOAT_KINDS)) for layer in model.layers):
        return model
    network = read_network(model)
    restore_kernels(network)
    return build_model(network)


def restore_kernels(network: Network) -> None:
    """`restore_kernel` for every layer that has an int8 kind."""
    for operator in network.operators():
        if operator.kind in FLOAT_KINDS:
            restore_kernel(operator)
    make_biases_differ(network)


def _named_weights(operator: Operator) -> dict[str, NDArray[Any]]:
    return dict(zip(int8_weight_names(operator.config or {}), operator.weights or [], strict=True))


def _float_kernel(operator: Operator, named: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The kernel in the model's units, before rounding."""
    kernel = named["kernel"] * named["kernel_mask"] if "kernel_mask" in named else named["kernel"]
    return as_float32(kernel * (operator.config or {})["kernel_gain"])


def _gain(kernel: NDArray[Any]) -> float:
    """A power of two that brings an unusually small or large kernel to the size of a fresh one (Glorot's uniform limit)."""
    receptive = float(np.prod(kernel.shape[:-2])) if kernel.ndim > 2 else 1.0
    usual = float(np.sqrt(6.0 / (receptive * (kernel.shape[-1] + kernel.shape[-2]))))
    largest = float(np.max(np.abs(kernel), initial=0.0))
    if largest == 0 or 1 / _UNUSUAL_SIZE <= largest / usual <= _UNUSUAL_SIZE:
        return 1.0
    return float(2.0 ** np.round(np.log2(largest / usual)))
