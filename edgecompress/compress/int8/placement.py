"""Where an activation range stands, and which tensors share one.

Every float tensor that an integer kernel reads or writes gets a range where it is made, with three exceptions: a value that only feeds a
fused ReLU (the range stands after the ReLU), a value whose grid is that of the input (pooling, reshaping: the input's range object), and a
sigmoid or softmax that is an output of the model (its range is fixed, and rounding it would stall a cross-entropy at log 0).
Tensors that an integer kernel wants in one scale (concatenation) form a group, and a group is one `FakeQuant` object.
"""

from dataclasses import dataclass, field
from typing import Any

import keras

from edgecompress.compress.int8.fake_quant import FakeQuant
from edgecompress.compress.int8.roles import FUSED_CAP, TANH_RANGE, UNIT_RANGE, Part, Role, part_of
from edgecompress.keras_graph.activations import Curve, read_activation
from edgecompress.keras_graph.network import Call, Network, Operator, Value

RANGE_SUFFIX = "_range"
"""The range of layer `conv1` is the layer `conv1_range`."""

SYMMETRIC_BITS = 16
"""Activations of so many bits have zero point 0."""

_INT16_UNIT = 32767 / 32768
_FUSES_RELU = (Role.WEIGHTED, Role.ARITHMETIC)


@dataclass(eq=False)
class _Group:
    """Tensors that share one range."""

    observed: list[Value] = field(default_factory=list)
    fixed: tuple[float, float] | None = None
    operator: Operator | None = None


@dataclass(eq=False)
class _Place:
    """One FakeQuant call to insert: on `value`, after `call` (None: at the model's input)."""

    value: Value
    call: Call | None
    observes: bool
    nonnegative: bool = False


def place_ranges(network: Network, *, bits: int = 8) -> None:
    """Insert `FakeQuant` calls into a prepared network, as the module's text says.

    Args:
        bits: of an activation, 8 or 16.
    """
    _Placement(network, bits).run()
    _leave_caps_to_the_ranges(network)


def _leave_caps_to_the_ranges(network: Network) -> None:
    """A ReLU that stops at c, rounded on the range 0 to c, is a plain ReLU on that range: saturation is the cap, and the ReLU fuses."""
    for call in list(network.calls):
        activation = read_activation(call)
        if activation is None or activation.curve is not Curve.CAPPED_RELU or activation.cap == FUSED_CAP:
            continue
        reader = network.only_reader(call.output)
        if reader is not None and reader.operator.kind is FakeQuant and (reader.operator.config or {})["high"] == activation.cap:
            name = call.operator.name
            call.operator = Operator(name, keras.layers.ReLU, {"name": name}, weights=[])


class _Placement:
    def __init__(self, network: Network, bits: int) -> None:
        self._network = network
        self._bits = bits
        self._group_of: dict[Value, _Group] = {}
        self._places: list[_Place] = []
        self._parts: dict[Call, Part] = {call: part_of(call) for call in network.calls}

    def run(self) -> None:
        for entry in self._network.inputs:
            if entry.value.is_float:
                self._observe(entry.value, None)
        for call in list(self._network.calls):
            self._assign(call, self._parts[call])
        for place in self._places:
            self._insert(place)

    def _assign(self, call: Call, part: Part) -> None:
        """Give each float output of a call its group; inputs have theirs already."""
        match part.role:
            case Role.SAME:
                # The converter carries a range through one output; through several (SPLIT, UNPACK) it does so in some runs only.
                self._inherit(call, rounded=len(call.outputs) > 1)
            case Role.SAME_ROUNDED:
                self._inherit(call, rounded=True)
            case Role.JOIN:
                self._join(call)
            case _:
                for value in call.outputs:
                    if value.is_float:
                        self._produce(value, call, part)

    def _produce(self, value: Value, call: Call, part: Part) -> None:
        if part.role is Role.RELU and part.fixed is not None and not self._is_capped_by_range(call):
            self._observe(value, call, nonnegative=True)
        elif part.fixed is not None:
            self._group_of[value] = _Group(fixed=part.fixed)
            if part.role is Role.RELU or not (self._leaves_the_model(value) or self._enters_join(value)):
                self._places.append(_Place(value, call, observes=False))
        elif not self._feeds_only_a_fused_relu(value, part):
            self._observe(value, call, nonnegative=part.nonnegative)

    def _is_capped_by_range(self, call: Call) -> bool:
        """A ReLU that stops at c needs no operator for the stop if its range is 0 to c; tensors joined with others have a wider one."""
        return not self._enters_join(call.output)

    def _enters_join(self, value: Value) -> bool:
        """True when the value, as it is or reshaped or pooled, is an input of a call that wants one range for all its inputs."""
        for call in self._network.calls:
            if value in call.inputs:
                role = self._parts[call].role
                if role is Role.JOIN or (role in (Role.SAME, Role.SAME_ROUNDED) and self._enters_join(call.output)):
                    return True
        return False

    def _leaves_the_model(self, value: Value) -> bool:
        return value in self._network.outputs and not any(value in call.inputs for call in self._network.calls)

    def _feeds_only_a_fused_relu(self, value: Value, part: Part) -> bool:
        reader = self._network.only_reader(value)
        if part.role not in _FUSES_RELU or reader is None or self._parts[reader].role is not Role.RELU:
            return False
        return self._parts[reader].fixed is None or self._is_capped_by_range(reader)

    def _observe(self, value: Value, call: Call | None, *, nonnegative: bool = False) -> None:
        self._group_of[value] = _Group(observed=[value])
        self._places.append(_Place(value, call, observes=True, nonnegative=nonnegative))

    def _inherit(self, call: Call, *, rounded: bool) -> None:
        group = next((self._group_of[value] for value in call.inputs if value in self._group_of), None)
        for value in call.outputs:
            if group is not None and value.is_float:
                self._group_of[value] = group
                if rounded:
                    self._places.append(_Place(value, call, observes=False))

    def _join(self, call: Call) -> None:
        known = {value: self._group_of[value].fixed for value in call.inputs if value in self._group_of}
        for value, fixed in known.items():
            if fixed is not None and set(known.values()) != {fixed}:
                self._requantize(value, call)
        groups = list(dict.fromkeys(self._group_of[value] for value in call.inputs if value in self._group_of))
        if not groups:
            return
        merged = groups[0]
        for other in groups[1:]:
            merged.observed.extend(other.observed)
            for value, group in self._group_of.items():
                if group is other:
                    self._group_of[value] = merged
        self._group_of[call.output] = merged

    def _requantize(self, value: Value, call: Call) -> None:
        """A value with a fixed scale enters a join through a second, observed range (a QUANTIZE operator in the .tflite)."""
        copy = Value(value.shape, value.dtype)
        identity = Operator(self._network.free_name(f"{call.operator.name}_in"), _Through, None, function=_Through())
        through = Call(identity, (value,), {}, [copy])
        self._network.insert_before(call, through)
        call.substitute(value, copy)
        self._observe(copy, through)

    def _insert(self, place: _Place) -> None:
        group = self._group_of[place.value]
        if group.operator is None:
            group.operator = self._range_operator(group, place)
        rounded = Value(place.value.shape, place.value.dtype)
        self._network.replace_value(place.value, rounded)
        arguments: dict[str, Any] = {}
        if group.fixed is None:
            arguments = {"slot": group.observed.index(place.value) if place.observes else -1, "nonnegative": place.nonnegative}
        call = Call(group.operator, (place.value,), arguments, [rounded])
        if place.call is None:
            self._network.calls.insert(0, call)
        else:
            self._network.insert_after(place.call, call)

    def _range_operator(self, group: _Group, place: _Place) -> Operator:
        owner = place.call.operator.name if place.call is not None else self._input_name(place.value)
        name = self._network.free_name(f"{owner}{RANGE_SUFFIX}")
        low, high = group.fixed or (None, None)
        if group.fixed is not None and self._bits == SYMMETRIC_BITS:
            low, high = _symmetric(group.fixed)
        config = {"name": name, "slots": max(1, len(group.observed)), "low": low, "high": high, "bits": self._bits}
        return Operator(name, FakeQuant, config, weights=None)

    def _input_name(self, value: Value) -> str:
        return next(entry.name for entry in self._network.inputs if entry.value is value)


def _symmetric(fixed: tuple[float, float]) -> tuple[float, float]:
    """The same known range around 0; int16 kernels of sigmoid, softmax and tanh have scale 1/32768."""
    high = _INT16_UNIT if fixed in (UNIT_RANGE, TANH_RANGE) else fixed[1]
    return -high, high


class _Through:
    """Hands a tensor on; gives a requantized value a place of its own in the graph."""

    def __call__(self, value: Any) -> Any:  # noqa: ANN401
        return value
