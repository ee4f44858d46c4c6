"""Unrolled LSTM, GRU and SimpleRNN layers written step by step, so that every value inside gets a range and every kernel an int8 grid.

Only layers built with `unroll=True` are taken apart: the user has then accepted a graph that grows with the number of steps. The input's
share of all gates is one dense layer over the whole sequence; the state's share is one dense layer called once a step. The first state is
zero, so the first step has no state's share.

    LSTM   c' = f * c + i * g              h' = o * act(c')
    GRU    h' = n + z * (h - n)            n = act(x_n + r * h_n)
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from edgecompress.keras_graph.network import Array, Call, GetItem, Network, Operator, Stack, Unstack, Value

_RECURRENT = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def open_recurrent(network: Network) -> None:
    """Take apart every unrolled recurrent layer that starts from zero and is called on one plain sequence."""
    for call in list(network.calls):
        if call.operator.kind in _RECURRENT and _can_open(network, call):
            _open(network, call)


def _can_open(network: Network, call: Call) -> bool:
    config = call.operator.config or {}
    plain = config["unroll"] and not config["stateful"] and not config["return_state"] and not config.get("zero_output_for_mask")
    alone = len(call.inputs) == 1 and len(call.outputs) == 1 and len(network.calls_of(call.operator)) == 1
    return bool(plain and alone and isinstance(call.inputs[0].shape[1], int) and call.operator.weights)


@dataclass(eq=False)
class _Writer:
    """Collects the calls that replace one layer; operators of one purpose are shared by all steps."""

    network: Network
    owner: Operator
    dtype: str
    calls: list[Call] = field(default_factory=list)
    shared: dict[str, Operator] = field(default_factory=dict)

    def layer(self, word: str, make: Callable[[str], Operator]) -> Operator:
        if word not in self.shared:
            self.shared[word] = make(self.network.free_name(f"{self.owner.name}_{word}"))
        return self.shared[word]

    def add_call(self, operator: Operator, args: tuple[Any, ...], shapes: list[tuple[int | None, ...]], **kwargs: Any) -> list[Value]:  # noqa: ANN401
        outputs = [Value(shape, self.dtype) for shape in shapes]
        self.calls.append(Call(operator, args, kwargs, outputs))
        return outputs

    def dense(self, word: str, source: Value, kernel: Array, bias: Array | None) -> Value:
        units = kernel.shape[-1]

        def make(name: str) -> Operator:
            config = {"name": name, "units": units, "use_bias": bias is not None}
            return Operator(name, keras.layers.Dense, config, weights=[kernel] if bias is None else [kernel, bias])

        return self.add_call(self.layer(word, make), (source,), [(*source.shape[:-1], units)])[0]

    def merge(self, kind: type, left: Value, right: Value) -> Value:
        operator = self.layer(kind.__name__.lower(), lambda name: Operator(name, kind, {"name": name}, weights=[]))
        return self.add_call(operator, ([left, right],), [left.shape])[0]

    def activate(self, setting: str, source: Value) -> Value:
        """`setting`: "activation" or "recurrent_activation" of the layer."""
        function = (self.owner.config or {})[setting]
        operator = self.layer(
            setting, lambda name: Operator(name, keras.layers.Activation, {"name": name, "activation": function}, weights=[])
        )
        return self.add_call(operator, (source,), [source.shape])[0]

    def split(self, source: Value, parts: int) -> list[Value]:
        """Slices, not a SPLIT: an operator of several outputs that follows another one (UNPACK) stays float in some conversions."""
        width = source.channels // parts
        values = []
        for part in range(parts):
            index = (slice(None), slice(part * width, (part + 1) * width))
            reader = self.layer(f"gate_{part}", lambda name: Operator(name, GetItem, None, function=operator.getitem))
            values += self.add_call(reader, (source, index), [(None, width)])
        return values

    def unstack(self, source: Value) -> list[Value]:
        operator = self.layer("unstack", lambda name: Operator(name, Unstack, None, function=keras.ops.unstack))
        steps = source.shape[1] or 0
        return self.add_call(operator, (source,), [(None, source.channels)] * steps, num=steps, axis=1)

    def stack(self, values: list[Value]) -> Value:
        operator = self.layer("stack", lambda name: Operator(name, Stack, None, function=keras.ops.stack))
        return self.add_call(operator, (values,), [(None, len(values), values[0].channels)], axis=1)[0]

    def add(self, left: Value, right: Value | None) -> Value:
        return left if right is None else self.merge(keras.layers.Add, left, right)

    def multiply(self, left: Value, right: Value) -> Value:
        return self.merge(keras.layers.Multiply, left, right)

    def subtract(self, left: Value, right: Value) -> Value:
        return self.merge(keras.layers.Subtract, left, right)


def _open(network: Network, call: Call) -> None:
    writer = _Writer(network, call.operator, call.output.dtype)
    config = call.operator.config or {}
    cell = _CELLS[call.operator.kind](writer)
    inputs = writer.unstack(cell.project(call.inputs[0]))
    states: list[Value] = []
    for value in reversed(inputs) if config["go_backwards"] else inputs:
        states.append(cell.step(value, states[-1] if states else None))
    result = writer.stack(states) if config["return_sequences"] else states[-1]
    place = network.calls.index(call)
    network.calls[place : place + 1] = writer.calls
    network.replace_value(call.output, result)


class _Simple:
    """h' = act(x W + h U + b)."""

    def __init__(self, writer: _Writer) -> None:
        self.writer = writer
        self.kernel, self.recurrent, *rest = writer.owner.weights or []
        self.bias: Array | None = rest[0] if rest else None

    def project(self, sequence: Value) -> Value:
        """[N, T, gates * units] the input's share of all gates."""
        return self.writer.dense("input", sequence, self.kernel, self.bias)

    def from_state(self, state: Value | None) -> Value | None:
        return None if state is None else self.writer.dense("state", state, self.recurrent, None)

    def step(self, value: Value, state: Value | None) -> Value:
        return self.writer.activate("activation", self.writer.add(value, self.from_state(state)))


class _Lstm(_Simple):
    def __init__(self, writer: _Writer) -> None:
        super().__init__(writer)
        self.carry: Value | None = None

    def step(self, value: Value, state: Value | None) -> Value:
        writer = self.writer
        enter, forget, candidate, leave = writer.split(writer.add(value, self.from_state(state)), 4)
        fresh = writer.multiply(writer.activate("recurrent_activation", enter), writer.activate("activation", candidate))
        if self.carry is None:
            self.carry = fresh
        else:
            self.carry = writer.add(writer.multiply(writer.activate("recurrent_activation", forget), self.carry), fresh)
        return writer.multiply(writer.activate("recurrent_activation", leave), writer.activate("activation", self.carry))


class _Gru(_Simple):
    """Gates in Keras' order: update z, reset r, new n. With `reset_after`, r acts behind the state's dense layer, else before it."""

    def __init__(self, writer: _Writer) -> None:
        super().__init__(writer)
        self.units = self.recurrent.shape[0]
        self.state_bias: Array | None = None
        if self.bias is not None and self.bias.ndim == 2:
            # Of the state's bias only the part that r multiplies must stay apart.
            outer = np.concatenate([self.bias[1, : 2 * self.units], np.zeros_like(self.bias[1, 2 * self.units :])])
            self.state_bias = self.bias[1] - outer
            self.bias = self.bias[0] + outer

    def step(self, value: Value, state: Value | None) -> Value:
        own = self.writer.split(value, 3)
        reset_after = (self.writer.owner.config or {})["reset_after"]
        return self._reset_after(own, state) if reset_after else self._reset_before(own, state)

    def _reset_after(self, own: list[Value], state: Value | None) -> Value:
        writer = self.writer
        if state is None:
            return self._blend(self._gate(own[0], None), writer.activate("activation", self._first_new(own[1], own[2])), None)
        share = writer.split(writer.dense("state", state, self.recurrent, self.state_bias), 3)
        gated = writer.multiply(self._gate(own[1], share[1]), share[2])
        return self._blend(self._gate(own[0], share[0]), writer.activate("activation", writer.add(own[2], gated)), state)

    def _first_new(self, reset: Value, new: Value) -> Value:
        """x_n + r * b_n: at the zero state only the state's bias is left of the state's share."""
        if self.state_bias is None or not np.any(self.state_bias):
            return new
        scale = self.state_bias[2 * self.units :]
        name = self.writer.network.free_name(f"{self.writer.owner.name}_first")
        operator = Operator(name, keras.layers.Rescaling, {"name": name, "scale": scale.tolist(), "offset": 0.0}, weights=[])
        return self.writer.add(new, self.writer.add_call(operator, (self._gate(reset, None),), [reset.shape])[0])

    def _reset_before(self, own: list[Value], state: Value | None) -> Value:
        writer = self.writer
        update, reset, new = own
        if state is None:
            return self._blend(self._gate(update, None), writer.activate("activation", new), None)
        share = writer.split(writer.dense("state", state, self.recurrent[:, : 2 * self.units], None), 2)
        gated = writer.multiply(self._gate(reset, share[1]), state)
        new = writer.add(new, writer.dense("new", gated, self.recurrent[:, 2 * self.units :], None))
        return self._blend(self._gate(update, share[0]), writer.activate("activation", new), state)

    def _gate(self, own: Value, share: Value | None) -> Value:
        return self.writer.activate("recurrent_activation", self.writer.add(own, share))

    def _blend(self, update: Value, new: Value, state: Value | None) -> Value:
        """n + z * (h - n)."""
        writer = self.writer
        if state is None:
            return writer.subtract(new, writer.multiply(update, new))
        return writer.add(new, writer.multiply(update, writer.subtract(state, new)))


_CELLS: dict[type, type[_Simple]] = {keras.layers.SimpleRNN: _Simple, keras.layers.LSTM: _Lstm, keras.layers.GRU: _Gru}
