"""How channels pass each kind of call: one rule a kind, applied from the inputs of a network to its outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgecompress.keras_graph.channels import ChannelMap, Ids, Layout, Role, spread, unite_groups
from edgecompress.keras_graph.kinds import Kind, fused_activation, kind_of
from edgecompress.keras_graph.network import Call, Network, Operator, Value


def map_channels(network: Network) -> ChannelMap:
    """Walk the network once; channels of the model's inputs and outputs are pinned."""
    channels = ChannelMap(network)
    for entry in network.inputs:
        channels.give_fresh(entry.value, "it is an input of the model")
    for call in network.calls:
        rule = _RULES.get(kind_of(call))
        if rule is None or not rule(channels, call):
            _opaque(channels, call)
    for value in network.outputs:
        channels.pin(channels.layout_of(value).ids, "it is an output of the model")
    return channels


def _opaque(channels: ChannelMap, call: Call) -> None:
    """Nothing is known: what goes in and what comes out stays."""
    reason = f"{call.operator.describe()} needs all its channels"
    for value in call.inputs:
        channels.pin(channels.layout_of(value).ids, reason)
    for value in call.outputs:
        channels.give_fresh(value, reason)
        channels.opaque.add(value)


# Each rule returns False when the call does something that it does not cover.


def _last(channels: ChannelMap, value: Value) -> Ids | None:
    """The channels of a value when they lie on the last axis, where layers expect them."""
    layout = channels.layout_of(value)
    return layout.ids if layout.axis == value.rank - 1 else None


def _makes(channels: ChannelMap, call: Call, kernel_axis: int, kernel: int = 0) -> Ids:
    """A layer's own channels: along an axis of its kernel and along its bias."""
    operator, weights = call.operator, call.operator.weights or []
    ids = channels.made_by(operator, weights[kernel].shape[kernel_axis])
    channels.cut(operator, kernel, kernel_axis % weights[kernel].ndim, ids, Role.MAKES)
    if len(weights) > kernel + 1:
        channels.cut(operator, kernel + 1, 0, ids, Role.MAKES)
    if "activation" in (operator.config or {}) and fused_activation(operator) is None:
        channels.pin(ids, f"the activation of {operator.describe()} needs all channels")
    return ids


def _gives(channels: ChannelMap, call: Call, ids: Ids) -> bool:
    channels.set_layout(call.output, call.output.rank - 1, ids)
    return True


def _dense(channels: ChannelMap, call: Call) -> bool:
    source = _last(channels, call.inputs[0])
    if source is None:
        return False
    channels.cut(call.operator, 0, 0, source, Role.READS)
    channels.read(call, call.inputs[0])
    return _gives(channels, call, _makes(channels, call, -1))


def _transposed(channels: ChannelMap, call: Call) -> bool:
    source = _last(channels, call.inputs[0])
    if source is None:
        return False
    channels.cut(call.operator, 0, _rank(call.operator) - 1, source, Role.READS)
    channels.read(call, call.inputs[0])
    return _gives(channels, call, _makes(channels, call, -2))


def _conv(channels: ChannelMap, call: Call) -> bool:
    source = _last(channels, call.inputs[0])
    if source is None:
        return False
    groups = int((call.operator.config or {}).get("groups", 1))
    made = _makes(channels, call, -1)
    if not removes_whole_groups(call.operator):
        channels.read(call, call.inputs[0])
    if groups == 1:
        channels.cut(call.operator, 0, _rank(call.operator) - 2, source, Role.READS)
    elif removes_whole_groups(call.operator):
        unite_groups(channels, np.concatenate([source.reshape(groups, -1), made.reshape(groups, -1)], axis=1))
    else:
        # The kernel holds the inputs of one group: the same place goes from every group.
        unite_groups(channels, source.reshape(groups, -1).T)
        unite_groups(channels, made.reshape(groups, -1).T)
        channels.cut(call.operator, 0, _rank(call.operator) - 2, source.reshape(groups, -1)[0], Role.READS)
    return _gives(channels, call, made)


def removes_whole_groups(operator: Operator) -> bool:
    """Of a grouped convolution: whether whole groups go, or the same number of channels from each; whichever has the finer steps."""
    groups = int((operator.config or {}).get("groups", 1))
    return groups > 1 and operator.weights is not None and operator.weights[0].shape[-2] < groups


def _depthwise(channels: ChannelMap, call: Call) -> bool:
    source = _last(channels, call.inputs[0])
    if source is None:
        return False
    operator, weights = call.operator, call.operator.weights or []
    channels.cut(operator, 0, _rank(operator) - 2, source, Role.MAKES)
    made = np.repeat(source, weights[0].shape[-1])
    if len(weights) > 1:
        channels.cut(operator, 1, 0, made, Role.MAKES)
    return _gives(channels, call, made)


def _separable(channels: ChannelMap, call: Call) -> bool:
    source = _last(channels, call.inputs[0])
    if source is None:
        return False
    weights, rank = call.operator.weights or [], _rank(call.operator)
    made = _makes(channels, call, -1, kernel=1)
    channels.cut(call.operator, 0, rank - 2, source, Role.READS)
    channels.cut(call.operator, 1, rank - 2, np.repeat(source, weights[0].shape[-1]), Role.READS)
    channels.read(call, call.inputs[0])
    return _gives(channels, call, made)


def _embedding(channels: ChannelMap, call: Call) -> bool:
    return _gives(channels, call, _makes(channels, call, -1))


def _batch_norm(channels: ChannelMap, call: Call) -> bool:
    layout, config = channels.layout_of(call.inputs[0]), call.operator.config or {}
    if not _is_axis(config.get("axis", -1), layout.axis, call.inputs[0].rank):
        return False
    # gamma, beta, mean, variance: without gamma a channel of zeros needs the mean 0 to stay zero.
    roles = [Role.MAKES] * (bool(config["scale"]) + bool(config["center"]) + 1) + [Role.FOLLOWS]
    if len(roles) != len(call.operator.weights or []):
        return False
    for weight, role in enumerate(roles):
        channels.cut(call.operator, weight, 0, layout.ids, role)
    return _same(channels, call)


def _normalization(channels: ChannelMap, call: Call) -> bool:
    layout, config, weights = channels.layout_of(call.inputs[0]), call.operator.config or {}, call.operator.weights or []
    if config.get("axis") is None:
        return _same(channels, call)
    if not _is_axis(config["axis"], layout.axis, call.inputs[0].rank) or len(weights) != 3 or weights[0].ndim != 1:
        return False
    channels.cut(call.operator, 0, 0, layout.ids, Role.MAKES)
    channels.cut(call.operator, 1, 0, layout.ids, Role.FOLLOWS)
    return _same(channels, call)


def _prelu(channels: ChannelMap, call: Call) -> bool:
    layout, weights = channels.layout_of(call.inputs[0]), call.operator.weights or []
    if len(weights) != 1:
        return False
    if weights[0].shape[layout.axis - 1] > 1:
        channels.cut(call.operator, 0, layout.axis - 1, layout.ids, Role.FOLLOWS)
    return _same(channels, call)


def _same(channels: ChannelMap, call: Call) -> bool:
    layout = channels.layout_of(call.inputs[0])
    channels.set_layout(call.output, layout.axis, layout.ids)
    return True


def _merge(channels: ChannelMap, call: Call) -> bool:
    layouts = paired_layouts(channels, call)
    if layouts is None:
        return False
    first = layouts[0]
    for other in layouts[1:]:
        channels.unite(first.ids, other.ids)
    if kind_of(call) is Kind.SUM:
        channels.mark_merged(first.ids)
    channels.set_layout(call.output, first.axis, first.ids)
    return True


def paired_layouts(channels: ChannelMap, call: Call) -> list[Layout] | None:
    """Layouts of the inputs whose channels an elementwise call pairs; those with one channel for all are left out."""
    values = call.inputs
    if len({value.rank for value in values}) != 1:
        return None
    full = [(value, channels.layout_of(value)) for value in values]
    paired = [layout for value, layout in full if value.shape[layout.axis] == call.output.shape[layout.axis]]
    axes = {layout.axis for layout in paired}
    if len(axes) != 1:
        return None
    axis = axes.pop()
    rest = [value for value, layout in full if layout not in paired]
    return paired if all(value.shape[axis] == 1 for value in rest) else None


def _pool(channels: ChannelMap, call: Call) -> bool:
    ids = _last(channels, call.inputs[0])
    return ids is not None and call.output.channels == len(ids) and _gives(channels, call, ids)


def _pad(channels: ChannelMap, call: Call) -> bool:
    return _pool(channels, call)


def _concat(channels: ChannelMap, call: Call) -> bool:
    layouts = [channels.layout_of(value) for value in call.inputs]
    axis = layouts[0].axis
    if any(layout.axis != axis for layout in layouts):
        return False
    joined = concat_axis(call)
    if joined == axis:
        channels.set_layout(call.output, axis, np.concatenate([layout.ids for layout in layouts]))
        return True
    for other in layouts[1:]:
        channels.unite(layouts[0].ids, other.ids)
    channels.set_layout(call.output, axis, layouts[0].ids)
    return True


def concat_axis(call: Call) -> int:
    """Counted with the batch as 0."""
    axis = int((call.operator.config or {})["axis"] if call.operator.is_layer else call.operator.source.axis)
    return axis % call.output.rank


def _reshape(channels: ChannelMap, call: Call) -> bool:
    source, result = call.inputs[0], call.output
    if np.prod(source.shape[1:]) != np.prod(result.shape[1:]) or result.rank < 2:  # type: ignore[arg-type]  # sizes are known here
        return False
    layout = channels.layout_of(source)
    elements = spread(layout.axis, channels.roots(layout.ids), source.shape).reshape([int(size or 0) for size in result.shape[1:]])
    varying = [axis for axis in range(elements.ndim) if np.any(np.take(elements, [0], axis) != elements)]
    axis = varying[-1] if varying else elements.ndim - 1
    slices = np.moveaxis(elements, axis, 0).reshape(elements.shape[axis], -1)
    if len(varying) > 1:
        # Only whole slices along one axis can go: what else lies in a slice goes with it.
        unite_groups(channels, slices)
    channels.set_layout(result, axis + 1, np.ascontiguousarray(slices[:, 0]))
    if call.operator.kind.__name__ == "Reshape":
        channels.reshaped.append(call)
    return True


def _transpose(channels: ChannelMap, call: Call) -> bool:
    layout = channels.layout_of(call.inputs[0])
    config = call.operator.config or {}
    axes = (0, *config["dims"]) if call.operator.is_layer else call.operator.source.axes
    if axes is None or axes[0] != 0:
        return False
    channels.set_layout(call.output, list(axes).index(layout.axis), layout.ids)
    return True


def _reduce(channels: ChannelMap, call: Call) -> bool:
    layout, rank = channels.layout_of(call.inputs[0]), call.inputs[0].rank
    axes = reduced_axes(call)
    if axes is None or 0 in axes or layout.axis in axes:
        return False
    keeps = bool(getattr(call.operator.source, "keepdims", False))
    moved = 0 if keeps else sum(axis < layout.axis for axis in axes)
    channels.set_layout(call.output, layout.axis - moved, layout.ids)
    return call.output.rank == rank - (0 if keeps else len(axes))


def reduced_axes(call: Call) -> set[int] | None:
    """Axes that a Mean, Sum, Max or Min takes away, counted with the batch as 0; None for all."""
    axis = getattr(call.operator.source, "axis", None)
    if axis is None:
        return None
    axes = axis if isinstance(axis, list | tuple) else [axis]
    return {int(one) % call.inputs[0].rank for one in axes}


def _slice(channels: ChannelMap, call: Call) -> bool:
    """`x[:, 1:]`: fine while the axis of the channels is taken whole."""
    layout, rank = channels.layout_of(call.inputs[0]), call.inputs[0].rank
    key = call.args[1] if len(call.args) == 2 else None
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(not isinstance(one, slice | int) and one is not Ellipsis for one in keys):
        return False
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        keys[place : place + 1] = [slice(None)] * (rank - len(keys) + 1)
    keys += [slice(None)] * (rank - len(keys))
    if keys[layout.axis] != slice(None) or not isinstance(keys[0], slice):
        return False
    axis = layout.axis - sum(isinstance(one, int) for one in keys[: layout.axis])
    channels.set_layout(call.output, axis, layout.ids)
    return True


def _rank(operator: Operator) -> int:
    return int((operator.weights or [])[0].ndim)


def _is_axis(axis: int | list[int] | tuple[int, ...], wanted: int, rank: int) -> bool:
    axes = axis if isinstance(axis, list | tuple) else [axis]
    return len(axes) == 1 and int(axes[0]) % rank == wanted


_RULES: dict[Kind, Callable[[ChannelMap, Call], bool]] = {
    Kind.DENSE: _dense,
    Kind.CONV: _conv,
    Kind.TRANSPOSED: _transposed,
    Kind.DEPTHWISE: _depthwise,
    Kind.SEPARABLE: _separable,
    Kind.EMBEDDING: _embedding,
    Kind.BATCH_NORM: _batch_norm,
    Kind.NORMALIZATION: _normalization,
    Kind.PRELU: _prelu,
    Kind.ELEMENTWISE: _same,
    Kind.IDENTITY: _same,
    Kind.SUM: _merge,
    Kind.PRODUCT: _merge,
    Kind.POOL: _pool,
    Kind.PAD: _pad,
    Kind.CONCAT: _concat,
    Kind.RESHAPE: _reshape,
    Kind.TRANSPOSE: _transpose,
    Kind.REDUCE: _reduce,
    Kind.SLICE: _slice,
}
