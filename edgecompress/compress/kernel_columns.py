"""Kernels of a prepared model as matrices with a column for each output channel, read and written in place."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.weighted import WEIGHTED

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)


@dataclass(frozen=True, eq=False)
class KernelColumns:
    """One layer's kernel."""

    layer: str
    variable: keras.Variable
    depthwise: bool
    transposed: bool

    def read(self) -> NDArray[np.float64]:
        """[N, C] a copy, C output channels (a depthwise kernel's are its inputs times its multiplier)."""
        kernel = np.asarray(self.variable.numpy(), np.float64)
        if self.transposed:
            kernel = kernel.swapaxes(-1, -2)
        channels = kernel.shape[-1] * (kernel.shape[-2] if self.depthwise else 1)
        return kernel.reshape(-1, channels).copy()

    def write(self, columns: NDArray[np.float64]) -> None:
        """Set the kernel from [N, C]."""
        shape = list(self.variable.shape)
        if self.transposed:
            shape[-1], shape[-2] = shape[-2], shape[-1]
        kernel = columns.reshape(shape)
        self.variable.assign((kernel.swapaxes(-1, -2) if self.transposed else kernel).astype(np.float32))


def find_columns(model: keras.Model) -> list[KernelColumns]:
    """The kernels of all convolutions and dense layers, in the model's order."""
    return [
        KernelColumns(layer.name, layer.kernel, isinstance(layer, _DEPTHWISE), isinstance(layer, _TRANSPOSED))
        for layer in model.layers
        if isinstance(layer, WEIGHTED)
    ]


def find_others(model: keras.Model) -> list[keras.Layer]:
    """The layers that have kernels of another kind: attention, recurrence, embeddings, convolutions in three dimensions."""
    return [layer for layer in model.layers if not isinstance(layer, WEIGHTED) and any(len(weight.shape) > 1 for weight in layer.weights)]
