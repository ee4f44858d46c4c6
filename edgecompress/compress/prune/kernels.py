"""Which weights pruning may take: the kernels that hold most of a model and that a GEMM or convolution multiplies by.

Dense, EinsumDense (and so MultiHeadAttention), Conv1D to Conv3D (grouped ones too), Conv*Transpose, the pointwise part of SeparableConv,
and the kernels of LSTM, GRU and SimpleRNN. Never biases, BatchNormalization, embeddings. Depthwise kernels neither: they are a few percent
of a network's weights, and with only 9 or so for each output channel every one of them counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from edgecompress.compress.grid.levels import LARGEST_LEVEL, moved_levels
from edgecompress.compress.layers import is_inside, require_layers, walk_layers
from edgecompress.errors import RecipeError

_KERNELS: tuple[tuple[tuple[type, ...], tuple[str, ...]], ...] = (
    (
        (
            keras.layers.Dense,
            keras.layers.EinsumDense,
            keras.layers.Conv1D,
            keras.layers.Conv2D,
            keras.layers.Conv3D,
            keras.layers.Conv1DTranspose,
            keras.layers.Conv2DTranspose,
            keras.layers.Conv3DTranspose,
        ),
        ("kernel",),
    ),
    ((keras.layers.SeparableConv1D, keras.layers.SeparableConv2D), ("pointwise_kernel",)),
    ((keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell), ("kernel", "recurrent_kernel")),
)


_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_OUTPUT_LAST = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, *_SEPARABLE)
_OUTPUT_BEFORE_INPUT = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)

_DEPTHWISE_REASON = "a depthwise kernel: with so few weights for each output, every one of them counts"
_PATTERN_REASON = (
    "its kernel has no axis of inputs that a .tflite keeps together: patterns are for Dense, Conv1D, Conv2D and their transposes"
)

_NAMED = 3
"""Layers that a message tells the reason of."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """One prunable weight.

    Attributes:
        layer: path of its layer ("block/conv").
        variable: float, any shape.
        axes: of its outputs and of its inputs; None where it is no plain matrix at each position.
    """

    layer: str
    variable: keras.Variable
    axes: tuple[int, int] | None = None

    @property
    def elements(self) -> int:
        count = 1
        for size in self.variable.shape:
            count *= size
        return count


@dataclass(frozen=True)
class LeftAlone:
    """A layer whose weights were not pruned, and why."""

    layer: str
    reason: str


def find_kernels(model: keras.Model, exclude: Sequence[str] = (), include: Sequence[str] = ()) -> list[Kernel]:
    """All prunable weights of a model and of the models in it, each once.

    Args:
        exclude: layers that keep all their weights, by path or by the path of a model around them.
        include: the only layers to prune, likewise; empty for all.

    Raises:
        RecipeError: `exclude` or `include` names a layer that does not exist, `include` a depthwise convolution; or nothing is left.
    """
    layers = _asked_for(model, exclude, include)
    found: dict[int, Kernel] = {}
    for path, layer in layers.items():
        for variable in _kernels_of(layer) if _reason_to_keep(layer) is None else ():
            found.setdefault(id(variable), Kernel(path, variable, _axes_of(layer)))
    if not found:
        raise RecipeError(
            f"prune: model {model.name!r} has no layer to prune{' outside exclude' if exclude else ''}",
            hint="; ".join([f"{path}: {reason}" for path, layer in layers.items() if (reason := _reason_to_keep(layer))][:_NAMED])
            or "Dense, EinsumDense, Conv and recurrent layers can be pruned; biases and embeddings are left alone",
        )
    return list(found.values())


def find_left_alone(model: keras.Model, exclude: Sequence[str] = (), include: Sequence[str] = ()) -> tuple[LeftAlone, ...]:
    """The layers, of those that were asked for, that keep weights for a reason of their own: depthwise kernels, codebooks without a 0."""
    layers = _asked_for(model, exclude, include)
    reasons = {path: _DEPTHWISE_REASON if isinstance(layer, _SEPARABLE) else _reason_to_keep(layer) for path, layer in layers.items()}
    return tuple(LeftAlone(path, reason) for path, reason in reasons.items() if reason)


def split_by_axes(kernels: Sequence[Kernel]) -> tuple[list[Kernel], tuple[LeftAlone, ...]]:
    """The kernels that a pattern along the inputs fits, and the layers of the others.

    Raises:
        RecipeError: it fits none.
    """
    fitting = [kernel for kernel in kernels if kernel.axes is not None]
    if not fitting:
        raise RecipeError("prune: pattern fits no layer of this model", hint=_PATTERN_REASON)
    others = dict.fromkeys(kernel.layer for kernel in kernels if kernel.axes is None)
    return fitting, tuple(LeftAlone(layer, _PATTERN_REASON) for layer in others)


def _asked_for(model: keras.Model, exclude: Sequence[str], include: Sequence[str]) -> dict[str, keras.Layer]:
    layers = dict(walk_layers(model))
    require_layers(list(layers), exclude, "prune: exclude")
    require_layers(list(layers), include, "prune: include")
    for name in include:
        if isinstance(layers.get(name), _DEPTHWISE):
            raise RecipeError(f"prune: include names {name!r}, {_DEPTHWISE_REASON}", hint="depthwise kernels stay whole; leave it out")
    return {
        path: layer
        for path, layer in layers.items()
        if not any(is_inside(path, name) for name in exclude) and (not include or any(is_inside(path, name) for name in include))
    }


def _reason_to_keep(layer: keras.Layer) -> str | None:
    """Why none of a layer's weights may go; None when they may."""
    if isinstance(layer, _DEPTHWISE):
        return _DEPTHWISE_REASON
    if getattr(layer, "tied", False):
        return "its channels share the integers of other channels"
    return None if _takes_zeros(layer) else "its codebook has no 0, and no level that could become it"


def _takes_zeros(layer: keras.Layer) -> bool:
    """Whether a weight of 0 has a level to stand on: 0, or the one nearest to it, which then becomes 0; the two ends never do."""
    levels = getattr(layer, "kernel_levels", None)
    if levels is None:
        return True
    now = moved_levels(levels, layer.level_shifts) if layer.train_levels else levels
    return bool(tf.reduce_all(tf.reduce_any(tf.abs(now) < LARGEST_LEVEL, axis=-1)))


def _axes_of(layer: keras.Layer) -> tuple[int, int] | None:
    if isinstance(layer, _OUTPUT_BEFORE_INPUT):
        return -2, -1
    return (-1, -2) if isinstance(layer, _OUTPUT_LAST) and not isinstance(layer, keras.layers.Conv3D) else None


def _kernels_of(layer: keras.Layer) -> Iterator[keras.Variable]:
    for types, names in _KERNELS:
        if isinstance(layer, types) and not isinstance(layer, _DEPTHWISE):
            for name in names:
                variable = getattr(layer, name, None)
                if variable is not None and keras.backend.is_float_dtype(keras.backend.standardize_dtype(variable.dtype)):
                    yield variable
