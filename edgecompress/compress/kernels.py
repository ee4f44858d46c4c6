"""Which weights pruning may take: the kernels that hold most of a model and that a GEMM or convolution multiplies by.

Dense, EinsumDense (and so MultiHeadAttention), Conv1D to Conv3D (grouped ones too), Conv*Transpose, the pointwise part of SeparableConv,
and the kernels of LSTM, GRU and SimpleRNN. Never biases, BatchNormalization, embeddings. Depthwise kernels neither: they are a few percent
of a network's weights, and with only 9 or so for each output channel every one of them counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras

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


@dataclass(frozen=True, eq=False)
class Kernel:
    """One prunable weight.

    Attributes:
        layer: path of its layer ("block/conv").
        variable: float, any shape.
    """

    layer: str
    variable: keras.Variable

    @property
    def elements(self) -> int:
        count = 1
        for size in self.variable.shape:
            count *= size
        return count


def find_kernels(model: keras.Model, exclude: Sequence[str] = ()) -> list[Kernel]:
    """All prunable weights of a model and of the models in it, each once.

    Args:
        exclude: layers that keep all their weights, by path or by the path of a model around them.

    Raises:
        RecipeError: `exclude` names a layer that does not exist, or nothing is left to prune.
    """
    layers = dict(walk_layers(model))
    require_layers(list(layers), exclude, "prune: exclude")
    found: dict[int, Kernel] = {}
    for path, layer in layers.items():
        if not any(is_inside(path, name) for name in exclude):
            for variable in _kernels_of(layer):
                found.setdefault(id(variable), Kernel(path, variable))
    if not found:
        raise RecipeError(
            f"prune: model {model.name!r} has no layer to prune{' outside exclude' if exclude else ''}",
            hint="Dense, EinsumDense, Conv and recurrent layers can be pruned; depthwise kernels, biases and embeddings are left alone",
        )
    return list(found.values())


def _kernels_of(layer: keras.Layer) -> Iterator[keras.Variable]:
    for types, names in _KERNELS:
        if isinstance(layer, types) and not isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.DepthwiseConv1D):
            for name in names:
                variable = getattr(layer, name, None)
                if variable is not None and keras.backend.is_float_dtype(keras.backend.standardize_dtype(variable.dtype)):
                    yield variable
