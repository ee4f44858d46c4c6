"""Fold every affine call (see `affine`) into the weights beside it, where the result is exact.

Order of preference: into the call before, into another affine call, into the call after. A border of zeros stands in the way of folding
an offset forward: zero would have to become -offset / scale, so the border is then written with that constant, if all channels share it.
What is left becomes a 1x1 depthwise convolution, which int8 runtimes do well (one scale a channel, fuses a ReLU).

Exact means: equal in real arithmetic; in float32 within rounding.
"""

from collections.abc import Sequence

import keras
import numpy as np

from edgecompress.keras_graph.affine import Affine, read_affine
from edgecompress.keras_graph.network import Call, Network, Operator, Pad, Value, as_float32
from edgecompress.keras_graph.weighted import (
    bias_of,
    is_dense,
    is_transposed,
    is_weighted,
    map_kernel,
    offset_response,
    scale_inputs,
    scale_outputs,
    set_kernel_and_bias,
    spatial_sizes,
)

_ZERO_PADDING = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D)
_AVERAGES = (
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
)
_MAXIMA = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D)
# Arithmetic with a constant that runtimes do as it stands.
_INT8_ARITHMETIC = frozenset({"Add", "Subtract", "Multiply"})
# Two channels need the same border constant; their ratios differ by float32 rounding at most.
_SAME_BORDER = 1e-6


def fold_affine(network: Network) -> None:
    """Fold until nothing moves any more, then turn what is left into depthwise convolutions."""
    folded: dict[Call, Affine] = {}
    changes = 1
    while changes:
        changes = sum(_fold_one(network, call, folded) for call in list(network.calls))
    for call in list(network.calls):
        _lower(network, call, folded.get(call))


def _fold_one(network: Network, call: Call, merged: dict[Call, Affine]) -> bool:
    """Try each rule on one call; True when the network changed. `merged` holds affine calls that swallowed others."""
    affine = merged.get(call) or read_affine(call)
    if affine is None or call not in network.calls:
        return False
    return (
        _fold_back(network, call, affine, merged)
        or _merge_into_next(network, call, affine, merged)
        or _fold_forward(network, call, affine)
        or _move_forward(network, call, affine, merged)
    )


def _fold_back(network: Network, call: Call, affine: Affine, merged: dict[Call, Affine]) -> bool:
    """Into the weights before it: always exact, if nobody else reads the value between."""
    producer = network.producers().get(call.inputs[0])
    if producer is None or not is_weighted(producer.operator):
        return False
    uses = network.calls_of(producer.operator)
    readers = [network.only_reader(use.output) for use in uses]
    followers = [None if reader is None else merged.get(reader) or read_affine(reader) for reader in readers]
    # A layer with shared weights may be folded into when every use of it is followed by the same affine map.
    if not all(follower is not None and follower.same_as(affine) for follower in followers):
        return False
    operator = producer.operator
    set_kernel_and_bias(operator, scale_outputs(operator, affine.scale), bias_of(operator) * affine.scale + affine.offset)
    for reader in readers:
        if reader is not None:
            network.remove(reader)
    return True


def _merge_into_next(network: Network, call: Call, affine: Affine, merged: dict[Call, Affine]) -> bool:
    reader = network.only_reader(call.output)
    following = None if reader is None else merged.get(reader) or read_affine(reader)
    if reader is None or following is None:
        return False
    merged[reader] = affine.then(following)
    network.remove(call)
    return True


def _fold_forward(network: Network, call: Call, affine: Affine) -> bool:
    """Into the weights after it, across a zero border if need be."""
    reader = network.only_reader(call.output)
    padding = reader if reader is not None and issubclass(reader.operator.kind, _ZERO_PADDING) else None
    if padding is not None:
        reader = network.only_reader(padding.output)
    if reader is None or not is_weighted(reader.operator) or len(network.calls_of(reader.operator)) != 1:
        return False
    border = _border(reader, padding)
    if not _can_cross(reader.operator, affine, border):
        return False
    _absorb(reader.operator, affine)
    network.remove(call)
    if np.any(border) and np.any(affine.offset):
        _write_border(network, reader, padding, border, float(-affine.offset[0] / affine.scale[0]))
    return True


def _can_cross(operator: Operator, affine: Affine, border: Sequence[tuple[int, int]]) -> bool:
    if not np.any(affine.offset):
        return True
    if is_transposed(operator):
        return False
    if not np.any(border):
        return True
    if np.any(affine.scale == 0):
        return False
    constants = -affine.offset / affine.scale
    return bool(np.all(np.abs(constants - constants[0]) <= _SAME_BORDER * np.abs(constants[0])))


def _absorb(operator: Operator, affine: Affine) -> None:
    """weights * (scale * x + offset) + bias  =  (weights * scale) * x + (bias + response to offset)."""
    if np.any(affine.offset):
        set_kernel_and_bias(operator, scale_inputs(operator, affine.scale), bias_of(operator) + offset_response(operator, affine.offset))
    else:
        map_kernel(operator, lambda _: as_float32(scale_inputs(operator, affine.scale)))


def _border(call: Call, padding: Call | None) -> list[tuple[int, int]]:
    """(before, after) zeros on each spatial axis, from an explicit padding call and from the layer's own mode."""
    operator = call.operator
    if is_dense(operator) or is_transposed(operator):
        return []
    border = _own_border(call)
    if padding is None:
        return border
    return [(a + c, b + d) for (a, b), (c, d) in zip(border, _explicit_border(padding), strict=True)]


def _own_border(call: Call) -> list[tuple[int, int]]:
    config, source = call.operator.config or {}, call.inputs[0]
    rank = source.rank - 2
    mode = config["padding"]
    sizes = source.shape[1:-1]
    kernels, strides, dilations = (spatial_sizes(config, key, rank) for key in ("kernel_size", "strides", "dilation_rate"))
    border = []
    for size, kernel, stride, dilation in zip(sizes, kernels, strides, dilations, strict=True):
        reach = (kernel - 1) * dilation
        if mode == "causal":
            border.append((reach, 0))
        elif mode == "same" and size is not None:
            total = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
            border.append((total // 2, total - total // 2))
        else:
            border.append((0, 0))
    return border


def _explicit_border(padding: Call) -> list[tuple[int, int]]:
    value = (padding.operator.config or {})["padding"]
    if padding.inputs[0].rank == 3:
        return [(value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))]
    return [(int(before), int(after)) for before, after in value]


def _write_border(network: Network, call: Call, padding: Call | None, border: list[tuple[int, int]], constant: float) -> None:
    """Pad with `constant` by an operator of its own; the layer itself then pads nothing."""
    if padding is not None:
        network.remove(padding)
    source = call.inputs[0]
    shape = (None, *(_grow(size, pair) for size, pair in zip(source.shape[1:-1], border, strict=True)), source.shape[-1])
    padded = Value(shape, source.dtype)
    operator = Operator(network.free_name(f"{call.operator.name}_border"), Pad, None, function=keras.ops.pad)
    arguments = {"pad_width": ((0, 0), *border, (0, 0)), "constant_values": constant}
    network.insert_before(call, Call(operator, (source,), arguments, [padded]))
    call.substitute(source, padded)
    if call.operator.config is not None:
        call.operator.config["padding"] = "valid"


def _grow(size: int | None, pair: tuple[int, int]) -> int | None:
    return None if size is None else size + pair[0] + pair[1]


def _move_forward(network: Network, call: Call, affine: Affine, merged: dict[Call, Affine]) -> bool:
    """Towards weights further on: an affine map commutes with averages and flattening, a scale with products and maxima."""
    reader = network.only_reader(call.output)
    if reader is None or len(network.calls_of(reader.operator)) != 1 or len(reader.outputs) != 1:
        return False
    moved = _beyond(network, reader, affine)
    if moved is None:
        return False
    _swap_with_next(network, call, reader)
    merged[call] = moved
    return True


def _beyond(network: Network, reader: Call, affine: Affine) -> Affine | None:
    """The same map as it must be applied after `reader`; None when the two do not commute."""
    kind = reader.operator.kind
    if issubclass(kind, _AVERAGES) or (issubclass(kind, _MAXIMA) and bool(np.all(affine.scale > 0))):
        return affine
    if issubclass(kind, keras.layers.Flatten):
        repeats = reader.output.channels // len(affine.scale)
        return Affine(np.tile(affine.scale, repeats), np.tile(affine.offset, repeats))
    if kind.__name__ == "Multiply" and len(set(reader.inputs)) == 2 and not np.any(affine.offset):
        return affine if len(affine.scale) == reader.output.channels and _ends_in_weights(network, reader) else None
    return None


def _ends_in_weights(network: Network, call: Call) -> bool:
    following = network.only_reader(call.output)
    return following is not None and is_weighted(following.operator) and len(network.calls_of(following.operator)) == 1


def _swap_with_next(network: Network, call: Call, reader: Call) -> None:
    source, result = call.inputs[0], reader.output
    between = Value(result.shape, result.dtype)
    reader.substitute(call.output, source)
    reader.outputs = [between]
    call.substitute(source, between)
    call.outputs = [result]
    network.calls.remove(call)
    network.insert_after(reader, call)


def _lower(network: Network, call: Call, merged: Affine | None) -> None:
    """What could not be folded: normalizations become depthwise 1x1; arithmetic with a scalar stays as it is."""
    affine = merged or read_affine(call)
    if affine is None or (merged is None and call.operator.kind.__name__ in _INT8_ARITHMETIC):
        return
    if np.all(affine.scale == 1) and not np.any(affine.offset):
        network.remove(call)
        return
    network.notes.append(f"{call.operator.describe()} has no weights beside it to fold into: kept as a 1x1 depthwise convolution")
    _become_depthwise(network, call, affine)


def _become_depthwise(network: Network, call: Call, affine: Affine) -> None:
    name = call.operator.name if len(network.calls_of(call.operator)) == 1 else network.free_name(call.operator.name)
    channels = len(affine.scale)
    rank = call.inputs[0].rank
    if rank == 2:
        _reshape_around(network, call, (1, channels))
    spatial = call.inputs[0].rank - 2
    kind = keras.layers.DepthwiseConv1D if spatial == 1 else keras.layers.DepthwiseConv2D
    config = {"name": name, "kernel_size": (1,) * spatial}
    weights = [as_float32(affine.scale.reshape((1,) * spatial + (channels, 1))), as_float32(affine.offset)]
    call.operator = Operator(name, kind, config, weights=weights)
    call.args, call.kwargs = (call.inputs[0],), {}


def _reshape_around(network: Network, call: Call, shape: tuple[int, int]) -> None:
    """Give a flat feature vector the spatial axis that a convolution wants, and take it away again."""
    source, result = call.inputs[0], call.output
    wide, wide_result = Value((None, *shape), source.dtype), Value((None, *shape), result.dtype)
    for suffix, before, after, target in (("expand", source, wide, shape), ("flatten", wide_result, result, shape[1:])):
        name = network.free_name(f"{call.operator.name}_{suffix}")
        operator = Operator(name, keras.layers.Reshape, {"name": name, "target_shape": target}, weights=[])
        new = Call(operator, (before,), {}, [after])
        if suffix == "expand":
            network.insert_before(call, new)
        else:
            network.insert_after(call, new)
    call.substitute(source, wide)
    call.outputs = [wide_result]
