"""A quantization-aware model computed call by call, on its int8 grid or in float, with every tensor in reach.

Calibration, bias correction and adaptive rounding all compare the two sides of one network; walking it once, and dropping each tensor after
its last reader, costs one inference a side instead of one for every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from edgecompress.compress.int8.fake_quant import FLOAT_KINDS, FakeQuant
from edgecompress.compress.int8.layers import restore_kernel
from edgecompress.keras_graph.network import Call, Network, Operator, Value

Function = Callable[..., Any]


def int8_side(call: Call) -> Function:
    """The call as the model has it: rounding."""
    function: Function = call.operator.source
    return function


class FloatSide:
    """The call without rounding; a range that is known beforehand still clips, as it may stand for the cap of a ReLU."""

    def __init__(self) -> None:
        self._layers: dict[Operator, Function] = {}

    def __call__(self, call: Call) -> Function:
        operator = call.operator
        if operator not in self._layers:
            self._layers[operator] = self._function(call)
        return self._layers[operator]

    def _function(self, call: Call) -> Function:
        operator = call.operator
        if operator.kind is FakeQuant:
            config = operator.config or {}
            return _clip(config["low"], config["high"]) if config["low"] is not None else _pass
        return float_layer(call) if operator.kind in FLOAT_KINDS else int8_side(call)


def float_layer(call: Call) -> Any:  # noqa: ANN401 - keras.layers.Layer
    """A float layer with the kernel, before rounding, of an int8 one."""
    operator = replace(call.operator, config=dict(call.operator.config or {}), weights=list(call.operator.weights or []))
    restore_kernel(operator)
    layer = operator.kind.from_config(operator.config)  # type: ignore[attr-defined]  # a Keras layer
    layer.build(call.inputs[0].shape)
    layer.set_weights(operator.weights)
    return layer


class Playback:
    """One side of a network on a set of batches.

    Args:
        batches: in the structure of the network's inputs; all of them are computed at each step.
        side: what computes a call.
    """

    def __init__(self, network: Network, batches: Sequence[Any], side: Callable[[Call], Function]) -> None:
        self._side = side
        self._count = len(batches)
        flat = [keras.tree.flatten(batch) for batch in batches]
        ends = keras.tree.flatten(network.input_structure)
        self._tensors: dict[Value, list[Any]] = {
            value: [tf.convert_to_tensor(arrays[position], value.dtype) for arrays in flat] for position, value in enumerate(ends)
        }
        self._ends = set(network.outputs)
        self._last = {value: call for call in network.calls for value in call.inputs}

    def tensors(self, value: Value) -> list[Any]:
        """The value's tensors, one a batch; gone after the value's last reader."""
        return self._tensors[value]

    def replace(self, value: Value, tensors: list[Any]) -> None:
        """Let later calls read these."""
        self._tensors[value] = tensors

    def compute(self, call: Call) -> None:
        """Compute one call for every batch; calls come in the network's order."""
        function = self._side(call)
        results = [keras.tree.flatten(self._apply(function, call, batch)) for batch in range(self._count)]
        for position, value in enumerate(call.outputs):
            if value in self._last or value in self._ends:
                self._tensors[value] = [outputs[position] for outputs in results]
        for value in dict.fromkeys(call.inputs):
            if self._last[value] is call:
                del self._tensors[value]

    def outputs(self, call: Call) -> list[Any]:
        """What a call of one input gives, without moving on."""
        function = self._side(call)
        return [self._apply(function, call, batch) for batch in range(self._count)]

    def _apply(self, function: Function, call: Call, batch: int) -> Any:  # noqa: ANN401
        args, kwargs = keras.tree.map_structure(
            lambda leaf: self._tensors[leaf][batch] if isinstance(leaf, Value) else leaf, (call.args, call.kwargs)
        )
        return function(*args, **kwargs)


def _clip(low: float, high: float) -> Function:
    def clip(values: Any, **_: Any) -> Any:  # noqa: ANN401
        return tf.clip_by_value(values, low, high)

    return clip


def _pass(values: Any, **_: Any) -> Any:  # noqa: ANN401
    return values
