"""Trained convolutions as depthwise separable, grouped or bottleneck ones, in the graph; `kernels` has the arithmetic.

Strides, dilation and padding move to the part that has the spatial kernel, bias and activation to the last part, which keeps the layer's
name; nothing stands between the parts, so a kernel that has the form already is reproduced exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.compress.replace.grouping import deal_channels, energy_of, order_by_group
from edgecompress.compress.replace.kernels import group, narrow, separate
from edgecompress.compress.replace.orders import find_makers, find_readers, read_inputs, write_outputs
from edgecompress.compress.replace.shuffle import shuffle_layers
from edgecompress.keras_graph.cost import count_macs
from edgecompress.keras_graph.network import Array, Call, Network, Operator, Value, as_float32
from edgecompress.keras_graph.weighted import is_weighted, kernel_of, spatial_sizes
from edgecompress.recipe.replace import ReplaceSettings

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D)
# A trained kernel without masks has no exact zeros; a dead tap or two are no mask.
_MASKED_SHARE = 0.01


@dataclass(frozen=True)
class ReplacedLayer:
    """One convolution that was exchanged.

    Attributes:
        layer: its path.
        form: separable, grouped or bottleneck.
        parts: names of the layers in its place, in order.
        macs_before, macs_after: of one inference.
        error: of the kernel that it starts from, ||W - W'|| / ||W||.
        reordered: which sides of a grouped one have a new channel order: none, inputs, outputs or both.
    """

    layer: str
    form: str
    parts: tuple[str, ...]
    macs_before: int
    macs_after: int
    error: float
    reordered: str = "none"


@dataclass(frozen=True)
class SkippedLayer:
    """A layer that was left, and why."""

    layer: str
    reason: str


@dataclass(frozen=True, eq=False)
class _Parts:
    """Operators in place of one, and what they lose."""

    operators: tuple[Operator, ...]
    error: float
    reordered: str = "none"


def replace_convolution(network: Network, operator: Operator, path: str, settings: ReplaceSettings) -> ReplacedLayer | SkippedLayer:
    """Exchange every use of one convolution, unless it cannot be done or, for layers that were not named, saves nothing."""
    reason = why_not(operator, settings)
    if reason is not None:
        return SkippedLayer(path, reason)
    uses = network.calls_of(operator)
    before = sum(count_macs(call) for call in uses)
    trial = _make_parts(network, operator, settings, reorder=False)
    after = sum(count_macs(part) for call in uses for part in _link(trial.operators, call))
    if after >= before and not settings.layers:
        return SkippedLayer(path, f"{settings.convolution} would take {after:,} multiply-accumulates instead of {before:,}")
    parts = _make_parts(network, operator, settings, reorder=True) if settings.convolution == "grouped" else trial
    for call in uses:
        place = network.calls.index(call)
        network.calls[place : place + 1] = _link(parts.operators, call)
    names = tuple(part.name for part in parts.operators)
    return ReplacedLayer(path, str(settings.convolution), names, before, after, parts.error, parts.reordered)


def is_candidate(operator: Operator) -> bool:
    """Convolutions with a kernel over all channels of a group, of one or two dimensions, and their subclasses."""
    return issubclass(operator.kind, _CONVOLUTIONS)


def why_not(operator: Operator, settings: ReplaceSettings) -> str | None:
    """Why a candidate cannot become what the settings ask for; None when it can."""
    if not is_weighted(operator):
        return f"a {operator.kind.__name__} with {len(operator.weights or [])} weights; expected a plain kernel and perhaps a bias"
    if int((operator.config or {}).get("groups", 1)) > 1:
        return "it has groups already"
    kernel = _kernel_2d(operator)
    match settings.convolution:
        case "separable":
            return _why_not_separable(operator, kernel, settings)
        case "grouped":
            inputs, outputs = kernel.shape[2:]
            if inputs % settings.groups or outputs % settings.groups:
                return f"{settings.groups} groups do not divide its {inputs} inputs and {outputs} outputs"
            return None
        case "bottleneck":
            return _why_not_factored(kernel, settings)
        case None:
            return "no form was asked for"


def _why_not_factored(kernel: Array, settings: ReplaceSettings) -> str | None:
    if kernel.shape[:2] == (1, 1):
        return "its kernel is 1 x 1, which has no taps to separate"
    if np.count_nonzero(kernel == 0) > _MASKED_SHARE * kernel.size and not settings.layers:
        return "its kernel was pruned, and the factors would not keep its zeros; put replace before prune, or name the layer in layers"
    return None


def _why_not_separable(operator: Operator, kernel: Array, settings: ReplaceSettings) -> str | None:
    height, width, _, outputs = kernel.shape
    if settings.multiplier > min(height * width, outputs):
        return f"multiplier {settings.multiplier} is above the {min(height * width, outputs)} that its kernel can use"
    strides = spatial_sizes(operator.config or {}, "strides", _rank(operator))
    if len(set(strides)) > 1:
        return f"depthwise convolutions take one stride for both axes; it has {strides}"
    return _why_not_factored(kernel, settings)


def _make_parts(network: Network, operator: Operator, settings: ReplaceSettings, *, reorder: bool) -> _Parts:
    match settings.convolution:
        case "separable":
            return _separable(network, operator, settings)
        case "grouped":
            return _grouped(network, operator, settings, reorder=reorder and settings.channels == "permuted")
        case _:
            return _bottleneck(network, operator, settings)


def _separable(network: Network, operator: Operator, settings: ReplaceSettings) -> _Parts:
    found = separate(_kernel_2d(operator), settings.multiplier)
    name = network.free_name(f"{operator.name}_depthwise")
    config = {**_spatial_config(operator), "name": name, "depth_multiplier": settings.multiplier, "use_bias": False}
    padding = _explicit_padding(network, operator, config)
    kind = keras.layers.DepthwiseConv1D if _rank(operator) == 1 else keras.layers.DepthwiseConv2D
    depthwise = Operator(name, kind, config, weights=[_kernel_like(operator, found.depthwise)])
    return _Parts((*padding, depthwise, _last(operator, found.pointwise)), found.error)


def _explicit_padding(network: Network, operator: Operator, config: dict[str, Any]) -> tuple[Operator, ...]:
    """DepthwiseConv1D has no causal mode: the zeros before the start become a layer, and `config` pads nothing."""
    if config["padding"] != "causal":
        return ()
    reach = (config["kernel_size"][0] - 1) * config["dilation_rate"][0]
    config["padding"] = "valid"
    name = network.free_name(f"{operator.name}_padding")
    return (Operator(name, keras.layers.ZeroPadding1D, {"name": name, "padding": (reach, 0)}, weights=[]),)


def _bottleneck(network: Network, operator: Operator, settings: ReplaceSettings) -> _Parts:
    kernel = _kernel_2d(operator)
    ranks = tuple(max(1, round(settings.width * size)) for size in kernel.shape[2:])
    found = narrow(kernel, (ranks[0], ranks[1]))
    reduce, core = (network.free_name(f"{operator.name}_{part}") for part in ("reduce", "core"))
    spatial = {**_spatial_config(operator), "name": core, "filters": ranks[1], "use_bias": False}
    pointwise = {"name": reduce, "filters": ranks[0], "kernel_size": (1,) * _rank(operator), "use_bias": False}
    pointwise["trainable"] = spatial["trainable"]
    operators = (
        Operator(reduce, operator.kind, pointwise, weights=[_kernel_like(operator, found.reduce)]),
        Operator(core, operator.kind, spatial, weights=[_kernel_like(operator, found.core)]),
        _last(operator, found.expand),
    )
    return _Parts(operators, found.error)


def _grouped(network: Network, operator: Operator, settings: ReplaceSettings, *, reorder: bool) -> _Parts:
    """The grouped convolution; with `reorder`, the layers around it are changed as well."""
    kernel = _kernel_2d(operator)
    inputs, outputs = kernel.shape[2:]
    places_in = np.repeat(np.arange(settings.groups), inputs // settings.groups)
    places_out = np.repeat(np.arange(settings.groups), outputs // settings.groups)
    shuffled = np.arange(outputs)
    if settings.mixing == "shuffle":
        # Place p behind the shuffle is place shuffled[p] before it.
        shuffled = np.arange(outputs).reshape(settings.groups, -1).T.reshape(-1)
    groups_out = places_out[shuffled]
    only = network.calls_of(operator)[0] if reorder and len(network.calls_of(operator)) == 1 else None
    makers = None if only is None else find_makers(network, only)
    readers = None if only is None else find_readers(network, only.output)
    free_in, free_out = makers is not None, readers is not None
    dealt = deal_channels(energy_of(kernel), places_in, groups_out, inputs_free=free_in, outputs_free=free_out)
    order_in = order_by_group(dealt.inputs, places_in)
    order_out = order_by_group(dealt.outputs, groups_out)
    if makers is not None:
        write_outputs(makers, order_in)
    if readers is not None:
        read_inputs(readers, order_out)
    before_shuffle = np.empty_like(order_out)
    before_shuffle[shuffled] = order_out
    found = group(kernel, order_in, before_shuffle, settings.groups)
    config = {**(operator.config or {}), "groups": settings.groups}
    bias = [weight[before_shuffle] for weight in (operator.weights or [])[1:]]
    replaced = Operator(operator.name, operator.kind, config, weights=[_kernel_like(operator, found.kernel), *bias])
    mixing = _mixing(network, operator, settings) if settings.mixing == "shuffle" else ()
    return _Parts((replaced, *mixing), found.error, _sides(order_in, order_out))


def _sides(order_in: NDArray[np.intp], order_out: NDArray[np.intp]) -> str:
    match bool(np.any(np.diff(order_in) < 0)), bool(np.any(np.diff(order_out) < 0)):
        case True, True:
            return "both"
        case True, False:
            return "inputs"
        case False, True:
            return "outputs"
        case _:
            return "none"


def _mixing(network: Network, operator: Operator, settings: ReplaceSettings) -> tuple[Operator, ...]:
    shape = [int(size or 0) for size in network.calls_of(operator)[0].output.shape[1:]]
    layers = shuffle_layers(network.free_name(f"{operator.name}_shuffle"), shape, settings.groups)
    return tuple(Operator(config["name"], kind, config, weights=[]) for kind, config in layers)


def _last(operator: Operator, pointwise: Array) -> Operator:
    """The 1x1 convolution that keeps the layer's name, bias and activation."""
    config = {**(operator.config or {}), "kernel_size": (1,) * _rank(operator), "padding": "valid"}
    config |= {"strides": (1,) * _rank(operator), "dilation_rate": (1,) * _rank(operator)}
    return Operator(operator.name, operator.kind, config, weights=[_kernel_like(operator, pointwise), *(operator.weights or [])[1:]])


def _spatial_config(operator: Operator) -> dict[str, Any]:
    config = operator.config or {}
    sizes = {key: spatial_sizes(config, key, _rank(operator)) for key in ("kernel_size", "strides", "dilation_rate")}
    return {**sizes, "padding": config["padding"], "trainable": config.get("trainable", True)}


def _rank(operator: Operator) -> int:
    return kernel_of(operator).ndim - 2


def _kernel_2d(operator: Operator) -> Array:
    """[h, w, i, o]; a one-dimensional kernel has w = 1."""
    kernel = kernel_of(operator)
    return kernel[:, np.newaxis] if kernel.ndim == 3 else kernel


def _kernel_like(operator: Operator, kernel: Array) -> Array:
    """A kernel [h, w, ...] in the rank of the layer's."""
    return as_float32(kernel[:, 0] if _rank(operator) == 1 else kernel)


def _link(operators: tuple[Operator, ...], call: Call) -> list[Call]:
    """One call for each operator, from the call's input to its output."""
    value, calls = call.inputs[0], []
    for operator in operators[:-1]:
        layer = operator.kind.from_config(operator.config)  # type: ignore[attr-defined]
        result = Value((None, *layer.compute_output_shape((None, *value.shape[1:]))[1:]), value.dtype)
        calls.append(Call(operator, (value,), {}, [result]))
        value = result
    return [*calls, Call(operators[-1], (value,), {}, [call.output])]
