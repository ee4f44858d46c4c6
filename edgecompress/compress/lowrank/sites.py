"""The layers of a network that low rank can split, and for every other layer with a kernel the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from edgecompress.compress.int8.fake_quant import FLOAT_KINDS
from edgecompress.compress.layers import is_inside, require_layers, walk_layers
from edgecompress.compress.lowrank.methods import Geometry, Method
from edgecompress.keras_graph.cost import count_macs
from edgecompress.keras_graph.network import Call, Network, Operator
from edgecompress.keras_graph.weighted import is_depthwise, is_transposed, is_weighted, kernel_of, spatial_sizes

_MASKED_SHARE = 0.01
"""A kernel with more zeros than this is a pruned one; a few exact zeros occur by chance and at initialization."""


@dataclass(frozen=True, eq=False)
class Site:
    """A layer that can be split.

    Attributes:
        kernel: [h, w, i, o]; Dense has h = w = 1, Conv1D w = 1.
        axes: spatial axes of the layer: 0, 1 or 2.
        methods: those that apply to its kernel.
    """

    operator: Operator
    kernel: Any
    geometry: Geometry
    axes: int
    methods: tuple[Method, ...]


@dataclass(frozen=True)
class Skipped:
    """A layer that stays as it is.

    Attributes:
        macs: multiply-accumulates of all its uses.
    """

    layer: str
    reason: str
    macs: int


def find_sites(network: Network, model: keras.Model, exclude: Sequence[str]) -> tuple[list[Site], list[Skipped]]:
    """What can be split, and what cannot with the reason, both in order.

    Args:
        network: as read from `model`.
        exclude: layers by path.

    Raises:
        RecipeError: `exclude` names a layer that does not exist.
    """
    paths = dict(walk_layers(model))
    require_layers(list(paths), exclude, "lowrank: exclude")
    kept = {id(layer) for path, layer in paths.items() if any(is_inside(path, name) for name in exclude)}
    sites: list[Site] = []
    skipped: list[Skipped] = []
    for operator in network.operators():
        reason = "excluded" if id(operator.source) in kept else _obstacle(operator)
        if reason is None:
            sites.append(_site(network, operator))
        elif reason:
            skipped.append(Skipped(operator.name, reason, sum(count_macs(call) for call in network.calls_of(operator))))
    return sites, skipped


def _obstacle(operator: Operator) -> str | None:
    """Why a layer cannot be split; empty for layers without a kernel, None where nothing is in the way."""
    kind, config = operator.kind, operator.config or {}
    if kind in FLOAT_KINDS:
        return "its weights stand on an int8 grid or in a codebook, which products of kernels would leave"
    if is_weighted(operator):
        if is_depthwise(operator):
            return "depthwise: each channel has a kernel of its own, with nothing to share between channels"
        if is_transposed(operator):
            return "transposed convolutions are not split"
        if config.get("groups", 1) != 1:
            return "grouped: its groups share no channels, so a split would not follow them"
        return _obstacle_of_values(operator)
    return _obstacle_of_kind(kind) if operator.weights else ""


def _obstacle_of_values(operator: Operator) -> str | None:
    kernel = kernel_of(operator)
    if not kernel.any():
        return "its kernel is zero everywhere"
    if np.count_nonzero(kernel == 0) > _MASKED_SHARE * kernel.size:
        return "pruned: products of kernels would bring its zeros back"
    return None


def _obstacle_of_kind(kind: type) -> str:
    layers = keras.layers
    if issubclass(kind, layers.SeparableConv1D | layers.SeparableConv2D):
        return "separable: it is a product of kernels already"
    if issubclass(kind, layers.MultiHeadAttention | layers.EinsumDense | layers.RNN | layers.Bidirectional | layers.Wrapper):
        return f"{kind.__name__} is not taken apart"
    if issubclass(kind, layers.Dense | layers.Conv1D | layers.Conv2D | layers.Conv3D):
        return f"{kind.__name__} holds other weights than one kernel and a bias"
    return ""


def _site(network: Network, operator: Operator) -> Site:
    kernel, config = kernel_of(operator), operator.config or {}
    axes = kernel.ndim - 2
    whole = kernel.reshape(*kernel.shape[:axes], *(1,) * (2 - axes), *kernel.shape[axes:])
    strides = (*spatial_sizes(config, "strides", axes), *(1,) * (2 - axes)) if axes else (1, 1)
    calls = network.calls_of(operator)
    height, width, inputs, outputs = (int(size) for size in whole.shape)
    geometry = Geometry(
        height,
        width,
        inputs,
        outputs,
        places_in=sum(_places(call.inputs[0].shape[1:-1]) for call in calls),
        places_mid=sum(_places_mid(call, axes) for call in calls),
        places_out=sum(_places(call.output.shape[1:-1]) for call in calls),
        one_depthwise=max(strides) > 1,
    )
    return Site(operator, whole, geometry, axes, _methods(geometry, config, strides))


def _methods(geometry: Geometry, config: dict[str, Any], strides: tuple[int, ...]) -> tuple[Method, ...]:
    if geometry.taps == 1:
        return (Method.SVD,)
    spatial = (Method.SPATIAL,) if min(geometry.height, geometry.width) > 1 else ()
    # TensorFlow's depthwise convolutions stride evenly only, and Keras has no causal ones.
    even = strides[0] == strides[1] or geometry.width == 1
    separable = (Method.CP,) if even and config.get("padding") != "causal" else ()
    return (*spatial, Method.CHANNEL, Method.TUCKER, *separable)


def _places(sizes: Sequence[int | None]) -> int:
    return int(np.prod([size or 1 for size in sizes], dtype=np.int64))


def _places_mid(call: Call, axes: int) -> int:
    """Rows of the output, columns of the input."""
    if axes < 2:
        return _places(call.output.shape[1:-1])
    return _places((call.output.shape[1], call.inputs[0].shape[2]))
