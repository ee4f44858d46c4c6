"""Which channels hold one and the same number everywhere, whatever the input is, and which number.

A filter of zeros gives its bias; BatchNormalization with gamma = 0 gives beta; from there the number is followed through activations,
products, pooling and valid convolutions until something that depends on the input, or the zeros of a border, meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.affine import read_affine
from edgecompress.keras_graph.channel_rules import concat_axis
from edgecompress.keras_graph.channels import ChannelMap, Ids, spread
from edgecompress.keras_graph.kinds import Kind, fused_activation, has_border, kind_of, separable_parts
from edgecompress.keras_graph.network import Array, Call, Operator, Value, as_float64
from edgecompress.keras_graph.weighted import bias_of, kernel_of, offset_response, output_channels, scale_inputs

Constants = NDArray[np.float64]
"""[C] along a value's channel axis; NaN where the channel is not constant."""


class ConstantMap:
    """Constants of every value of a mapped network.

    Args:
        masked: roots to take as masked; None looks at the weights as they are. The channels of these sets are then the only constants
            that are started, so that each set's numbers hold whichever other sets are masked.
    """

    def __init__(self, channels: ChannelMap, masked: Set[int] | None = None) -> None:
        self._channels = channels
        self._masked = masked
        self.values: dict[Value, Constants] = {}
        for call in channels.network.calls:
            if len(call.outputs) == 1:
                self.values[call.output] = self._of_call(call)

    def of(self, value: Value) -> Constants:
        known = self.values.get(value)
        return np.full(len(self._channels.layouts[value].ids), np.nan) if known is None else known

    def take_over(self, other: ConstantMap, roots: Set[int]) -> None:
        """Of these sets, the numbers of another map of the same network."""
        for value in self.values:
            theirs = np.isin(self._channels.roots(self._channels.layouts[value].ids), list(roots))
            self.values[value] = np.where(theirs, other.of(value), self.of(value))

    def _of_call(self, call: Call) -> Constants:
        ids = self._channels.layouts[call.output].ids
        nothing = np.full(len(ids), np.nan)
        rule = _RULES.get(kind_of(call))
        # Where the walk knew nothing, channels may lie along another axis than the one that a rule takes numbers along.
        if rule is None or not len(ids) or call.output in self._channels.opaque:
            return nothing
        sources = [self.of(value) for value in call.inputs]
        if self._masked is not None and _starts_at_zero(call):
            result = np.where(self._is_masked(ids), 0.0, nothing)
            result = _apply(fused_activation(call.operator), result)
        elif kind_of(call) is Kind.RESHAPE:
            result = self._reshaped(call, sources[0])
        else:
            result = rule(call, sources, self._masked is not None)
        return result if len(result) == len(ids) else nothing

    def _reshaped(self, call: Call, source: Constants) -> Constants:
        before, after = self._channels.layouts[call.inputs[0]], self._channels.layouts[call.output]
        elements = spread(before.axis, source, call.inputs[0].shape).reshape([int(size or 0) for size in call.output.shape[1:]])
        slices = np.moveaxis(elements, after.axis - 1, 0).reshape(len(after.ids), -1)
        same = np.all(slices == slices[:, :1], axis=1)
        return np.where(same, slices[:, 0], np.nan)

    def _is_masked(self, ids: Ids) -> NDArray[np.bool_]:
        return np.isin(self._channels.roots(ids), list(self._masked or ()))


_Rule = Callable[[Call, list[Constants], bool], Constants]
_MAKERS = frozenset({Kind.DENSE, Kind.CONV, Kind.TRANSPOSED, Kind.SEPARABLE, Kind.DEPTHWISE, Kind.EMBEDDING})


def _starts_at_zero(call: Call) -> bool:
    """Whether masking alone makes the call's channel zero before its activation, whatever comes in."""
    kind = kind_of(call)
    return kind in _MAKERS or (kind is Kind.BATCH_NORM and bool((call.operator.config or {})["scale"]))


def blocked_inputs(operator: Operator, shape: tuple[int | None, ...], constants: Constants) -> NDArray[np.bool_]:
    """Input channels that a layer cannot take in as a number: not constant, or nonzero where zeros stand beyond the border.

    Args:
        shape: of the layer's input.
    """
    crosses = operator.kind.__name__.endswith("Transpose") or (operator.kind is not keras.layers.Dense and has_border(operator, shape))
    return np.isnan(constants) | (np.nan_to_num(constants) != 0 if crosses else False)


def reached_outputs(operator: Operator, inputs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which output channels the kernel lets these input channels reach."""
    scaled = scale_inputs(operator, inputs.astype(np.float64)) != 0
    if operator.kind.__name__.startswith("Depthwise"):
        return np.asarray(scaled.reshape(-1, *scaled.shape[-2:]).any(axis=0).reshape(-1))
    if operator.kind.__name__.endswith("Transpose"):
        return np.asarray(np.moveaxis(scaled, -2, -1).reshape(-1, scaled.shape[-2]).any(axis=0))
    return np.asarray(scaled.reshape(-1, scaled.shape[-1]).any(axis=0))


def response(operator: Operator, constants: Constants) -> NDArray[np.float64]:
    """What constant input channels add to each output channel; blocked ones must be 0 here."""
    if operator.kind.__name__.endswith("Transpose"):
        return np.zeros(output_channels(operator))
    return offset_response(operator, constants)


def _weighted(call: Call, sources: list[Constants], _: bool) -> Constants:
    operator = call.operator
    result = _linear(operator, call.inputs[0].shape, sources[0]) + bias_of(operator)
    return _apply(fused_activation(operator), result)


def _linear(operator: Operator, shape: tuple[int | None, ...], source: Constants) -> Constants:
    blocked = blocked_inputs(operator, shape, source)
    known = response(operator, np.where(blocked, 0.0, source))
    return np.where(reached_outputs(operator, blocked), np.nan, known)


def _separable(call: Call, sources: list[Constants], _: bool) -> Constants:
    depthwise, pointwise = separable_parts(call.operator)
    between = _linear(depthwise, call.inputs[0].shape, sources[0])
    result = _linear(pointwise, call.inputs[0].shape, between) + bias_of(pointwise)
    return _apply(fused_activation(call.operator), result)


def _batch_norm(call: Call, sources: list[Constants], masked: bool) -> Constants:
    affine = read_affine(call)
    if masked or affine is None:
        # Masked, the layer's own numbers are 0; where the input is not masked, nothing is known.
        return np.where(sources[0] == 0, 0.0, np.nan)
    return np.where(affine.scale == 0, affine.offset, affine.scale * sources[0] + affine.offset)


def _normalization(call: Call, sources: list[Constants], masked: bool) -> Constants:
    if (call.operator.config or {}).get("axis") is not None and masked:
        return np.where(sources[0] == 0, 0.0, np.nan)
    affine = read_affine(call)
    return np.full_like(sources[0], np.nan) if affine is None else affine.scale * sources[0] + affine.offset


def _prelu(call: Call, sources: list[Constants], _: bool) -> Constants:
    return np.where(sources[0] >= 0, sources[0], np.nan)


def _elementwise(call: Call, sources: list[Constants], _: bool) -> Constants:
    operator = call.operator
    function: Any = operator.kind.from_config(operator.config) if operator.is_layer else operator.function  # type: ignore[attr-defined]

    def apply(vector: Array) -> Array:
        args, kwargs = keras.tree.map_structure(lambda leaf: vector if isinstance(leaf, Value) else leaf, (call.args, call.kwargs))
        return np.asarray(keras.ops.convert_to_numpy(function(*args, **kwargs)))

    return _apply(apply, sources[0])


def _apply(function: Callable[[Array], Array] | None, constants: Constants) -> Constants:
    """f of the numbers; a float32 function may turn NaN into a number, so those are put back."""
    known = ~np.isnan(constants)
    if function is None or not known.any():
        return constants if function is not None else np.full_like(constants, np.nan)
    vector = keras.ops.convert_to_tensor(np.where(known, constants, 0.0)[np.newaxis].astype(np.float32))
    result = np.asarray(keras.ops.convert_to_numpy(function(vector)), np.float64)[0]
    return np.where(known, result, np.nan)


def _same(call: Call, sources: list[Constants], _: bool) -> Constants:
    return sources[0]


def _sum(call: Call, sources: list[Constants], masked: bool) -> Constants:
    name, together = call.operator.kind.__name__, np.stack(_paired(sources, masked))
    if name == "Average":
        return np.asarray(np.mean(together, axis=0))
    return np.asarray(_SUMS[name].reduce(together, axis=0))


_SUMS = {"Add": np.add, "Subtract": np.subtract, "Maximum": np.maximum, "Minimum": np.minimum}


def _product(call: Call, sources: list[Constants], masked: bool) -> Constants:
    factors = _paired(sources, masked)
    zero = np.any([factor == 0 for factor in factors], axis=0)
    return np.where(zero, 0.0, np.multiply.reduce(np.stack(factors)))


def _paired(sources: list[Constants], masked: bool) -> list[Constants]:
    """All of one length. One channel that meets many is of another set, which may or may not be masked: then it is unknown."""
    length = max(len(source) for source in sources)
    if masked:
        sources = [np.full(length, np.nan) if len(source) < length else source for source in sources]
    return [np.broadcast_to(source, (length,)) for source in sources]


def _zero_only(call: Call, sources: list[Constants], _: bool) -> Constants:
    return np.where(sources[0] == 0, 0.0, np.nan)


def _concat(call: Call, sources: list[Constants], _: bool) -> Constants:
    if sum(map(len, sources)) == call.output.shape[concat_axis(call)]:
        return np.concatenate(sources)
    same = np.all([source == sources[0] for source in sources], axis=0)
    return np.where(same, sources[0], np.nan)


def _reduce(call: Call, sources: list[Constants], masked: bool) -> Constants:
    return _zero_only(call, sources, masked) if call.operator.kind.__name__ == "Sum" else sources[0]


def _moved(call: Call, sources: list[Constants], _: bool) -> Constants:
    """Transposed or sliced: the same channels in the same order."""
    return sources[0]


def _embedding(call: Call, sources: list[Constants], _: bool) -> Constants:
    table = as_float64(kernel_of(call.operator))
    return np.where(np.ptp(table, axis=0) == 0, table[0], np.nan)


_RULES: dict[Kind, _Rule] = {
    Kind.DENSE: _weighted,
    Kind.CONV: _weighted,
    Kind.TRANSPOSED: _weighted,
    Kind.DEPTHWISE: _weighted,
    Kind.SEPARABLE: _separable,
    Kind.BATCH_NORM: _batch_norm,
    Kind.NORMALIZATION: _normalization,
    Kind.PRELU: _prelu,
    Kind.ELEMENTWISE: _elementwise,
    Kind.IDENTITY: _same,
    Kind.SUM: _sum,
    Kind.PRODUCT: _product,
    Kind.POOL: _same,
    Kind.PAD: _zero_only,
    Kind.CONCAT: _concat,
    Kind.RESHAPE: _same,
    Kind.EMBEDDING: _embedding,
    Kind.TRANSPOSE: _moved,
    Kind.REDUCE: _reduce,
    Kind.SLICE: _moved,
}
