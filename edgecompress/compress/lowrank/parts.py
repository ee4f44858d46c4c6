"""The layers that a split becomes: only the last one keeps the name, the bias and the activation.

No part but the last has a bias, so the zeros that padding adds are zeros in every part, and padding, strides and dilation stay exact: a
part of h x 1 takes the vertical ones, one of 1 x w the horizontal ones, and a 1x1 part none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from edgecompress.compress.lowrank.methods import Method, Split
from edgecompress.compress.lowrank.sites import Site
from edgecompress.keras_graph.network import Array, Call, Network, Operator, Value, as_float32, as_float64
from edgecompress.keras_graph.weighted import spatial_sizes

# Penalties on the whole kernel mean something else on a factor of it.
_FOR_WHOLE_KERNELS = ("kernel_regularizer", "kernel_constraint")
_ONE = (1, 1)


@dataclass(frozen=True)
class _Window:
    """Spatial settings of one part, as rows and columns."""

    strides: tuple[int, int] = _ONE
    dilation: tuple[int, int] = _ONE
    padding: str = "valid"

    def rows(self) -> _Window:
        return _Window((self.strides[0], 1), (self.dilation[0], 1), self.padding)

    def columns(self) -> _Window:
        return _Window((1, self.strides[1]), (1, self.dilation[1]), self.padding)


def replace_layer(network: Network, site: Site, split: Split) -> list[str]:
    """Put the split in the layer's place wherever it is used; the names of its layers.

    A layer used several times is split once, and its parts are used as often.
    """
    operators = _operators(network, site, split)
    for call in network.calls_of(site.operator):
        source = call.inputs[0]
        for operator in operators[:-1]:
            between = Value(_output_shape(operator, source), call.output.dtype)
            network.insert_before(call, Call(operator, (source,), {}, [between]))
            source = between
        call.operator, call.args, call.kwargs = operators[-1], (source,), {}
    return [operator.name for operator in operators]


def _operators(network: Network, site: Site, split: Split) -> list[Operator]:
    *first, last = split.kernels
    windows = _windows(site, split)
    operators = []
    for suffix, kernel, window in zip(_suffixes(split), first, windows, strict=False):
        name = network.free_name(f"{site.operator.name}_{suffix}")
        depthwise = split.method is Method.CP and suffix != "reduce"
        operators.append(_part(site, name, kernel, window, depthwise=depthwise))
    return [*operators, _last(site, last, windows[-1], split.bias)]


def _suffixes(split: Split) -> tuple[str, ...]:
    if len(split.kernels) == 4:
        return ("reduce", "vertical", "horizontal")
    return ("reduce", "core")[: len(split.kernels) - 1]


def _windows(site: Site, split: Split) -> list[_Window]:
    whole = _window_of(site)
    match split.method:
        case Method.SVD | Method.CHANNEL:
            return [whole, _Window()]
        case Method.SPATIAL:
            return [whole.rows(), whole.columns()]
        case Method.TUCKER:
            return [_Window(), whole, _Window()]
        case Method.CP:
            middle = [whole] if len(split.kernels) == 3 else [whole.rows(), whole.columns()]
            return [_Window(), *middle, _Window()]


def _window_of(site: Site) -> _Window:
    if site.axes == 0:
        return _Window()
    config = site.operator.config or {}
    strides, dilation = (spatial_sizes(config, key, site.axes) for key in ("strides", "dilation_rate"))
    return _Window((strides[0], (*strides, 1)[1]), (dilation[0], (*dilation, 1)[1]), config["padding"])


def _part(site: Site, name: str, kernel: Array, window: _Window, *, depthwise: bool) -> Operator:
    """A part without bias and activation."""
    config: dict[str, Any] = {"name": name, "use_bias": False, "dtype": (site.operator.config or {}).get("dtype", "float32")}
    if site.axes == 0:
        return Operator(name, keras.layers.Dense, {**config, "units": kernel.shape[-1]}, [as_float32(kernel[0, 0])])
    config |= _spatial(site, kernel, window)
    if depthwise:
        return Operator(name, _layer(site, "DepthwiseConv"), {**config, "depth_multiplier": 1}, [_in_layers_shape(site, kernel)])
    return Operator(name, _layer(site, "Conv"), {**config, "filters": kernel.shape[-1]}, [_in_layers_shape(site, kernel)])


def _last(site: Site, kernel: Array, window: _Window, bias_shift: Array | None) -> Operator:
    operator = site.operator
    config: dict[str, Any] = {**(operator.config or {}), **dict.fromkeys(_FOR_WHOLE_KERNELS)}
    bias = list((operator.weights or [])[1:])
    if bias and bias_shift is not None:
        bias = [as_float32(as_float64(bias[0]) + bias_shift)]
    if site.axes == 0:
        return Operator(operator.name, operator.kind, config, [as_float32(kernel[0, 0]), *bias])
    return Operator(operator.name, operator.kind, config | _spatial(site, kernel, window), [_in_layers_shape(site, kernel), *bias])


def _spatial(site: Site, kernel: Array, window: _Window) -> dict[str, Any]:
    return {
        "kernel_size": tuple(kernel.shape[: site.axes]),
        "strides": window.strides[: site.axes],
        "dilation_rate": window.dilation[: site.axes],
        "padding": window.padding,
    }


def _layer(site: Site, stem: str) -> type:
    kind: type = getattr(keras.layers, f"{stem}{site.axes}D")
    return kind


def _in_layers_shape(site: Site, kernel: Array) -> Array:
    """Without the axis of columns that Conv1D does not have."""
    return as_float32(np.reshape(kernel, (*kernel.shape[: site.axes], *kernel.shape[2:])))


def _output_shape(operator: Operator, source: Value) -> tuple[int | None, ...]:
    layer = operator.kind(**(operator.config or {}))
    return (None, *layer.compute_output_shape((None, *source.shape[1:]))[1:])
