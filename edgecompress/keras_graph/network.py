"""A Keras functional graph as plain data: values, and calls that turn values into values.

Keras records a graph as nodes hanging on layers, with shared layers and nested models mixed in. Passes want the opposite: a flat list of
calls in execution order which they may edit freely, with weights as arrays, and without touching the user's model. `walk.read_network`
makes one, `rebuild.build_model` turns one back into a Keras model.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


@dataclass(eq=False, frozen=True)
class Value:
    """One tensor of the graph, known by identity.

    Args:
        shape: with the batch first; the batch is None.
        dtype: Keras name, such as "float32".
    """

    shape: tuple[int | None, ...]
    dtype: str

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def channels(self) -> int:
        """Size of the last axis, which is the channel axis everywhere in this project."""
        size = self.shape[-1]
        return 0 if size is None else size

    @property
    def is_float(self) -> bool:
        return "float" in self.dtype


@dataclass(eq=False)
class Operator:
    """A layer or a keras.ops function, known by identity: two calls of one operator share its weights.

    Args:
        name: unique in the network; what masks, errors and reports call it.
        kind: the Keras class (a layer, or an operation of keras.ops).
        config: what `kind.from_config` takes; None for operations, which have no weights and are called as they are.
        weights: in the order of `layer.get_weights()`; None leaves the layer as its class initialises it.
        source: the layer or operation that was read; None for operators that a pass made.
        function: what to call when there is no config.
    """

    name: str
    kind: type
    config: dict[str, Any] | None
    weights: list[Array] | None = None
    source: Any = None
    function: Callable[..., Any] | None = None

    @property
    def is_layer(self) -> bool:
        return issubclass(self.kind, keras.layers.Layer)

    def describe(self) -> str:
        """Name and class, for messages: `norm (LayerNormalization)`."""
        return f"{self.name} ({self.kind.__name__})"


class Pad:
    """Kind of an operator that a pass made from `keras.ops.pad`, whose own class has no public name; and so for those below."""


class Unstack:
    """`keras.ops.unstack`."""


class Stack:
    """`keras.ops.stack`."""


class GetItem:
    """`tensor[...]`."""


@dataclass(eq=False)
class Call:
    """One use of an operator; `args` and `kwargs` hold Values where Keras had tensors."""

    operator: Operator
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Value]

    @property
    def inputs(self) -> list[Value]:
        return [*values_in(self.args), *values_in(self.kwargs)]

    @property
    def output(self) -> Value:
        return self.outputs[0]

    def substitute(self, old: Value, new: Value) -> None:
        """Read `new` wherever this call read `old`."""
        if any(value is old for value in self.inputs):
            self.args, self.kwargs = keras.tree.map_structure(lambda leaf: new if leaf is old else leaf, (self.args, self.kwargs))


@dataclass(eq=False)
class NetworkInput:
    """An input of the whole model."""

    name: str
    value: Value


@dataclass(eq=False)
class Network:
    """A whole model: calls in execution order.

    Args:
        input_structure, output_structure: Values in the lists or dicts in which the model takes and gives them.
        output_names: as Keras shows them in losses and logs.
        notes: what a pass had to leave, one sentence each.
    """

    name: str
    inputs: list[NetworkInput]
    calls: list[Call]
    input_structure: Any
    output_structure: Any
    output_names: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def outputs(self) -> list[Value]:
        return list(values_in(self.output_structure))

    def consumers(self) -> dict[Value, list[Call]]:
        """Calls that read each value, once per call even if it reads the value twice."""
        readers: dict[Value, list[Call]] = {}
        for call in self.calls:
            for value in dict.fromkeys(call.inputs):
                readers.setdefault(value, []).append(call)
        return readers

    def producers(self) -> dict[Value, Call]:
        """The call that makes each value; model inputs are absent."""
        return {value: call for call in self.calls for value in call.outputs}

    def only_reader(self, value: Value) -> Call | None:
        """The single call that reads `value`, unless the value is also an output of the model."""
        if any(value is output for output in self.outputs):
            return None
        readers = [call for call in self.calls if value in call.inputs]
        return readers[0] if len(readers) == 1 else None

    def replace_value(self, old: Value, new: Value) -> None:
        """Let every reader of `old`, and the model's outputs, take `new` instead."""
        for call in self.calls:
            call.substitute(old, new)
        self.output_structure = keras.tree.map_structure(lambda leaf: new if leaf is old else leaf, self.output_structure)

    def remove(self, call: Call) -> None:
        """Take out a call with one input and one output; its readers read its input."""
        self.calls.remove(call)
        self.replace_value(call.output, call.inputs[0])

    def insert_before(self, anchor: Call, new: Call) -> None:
        self.calls.insert(self.calls.index(anchor), new)

    def insert_after(self, anchor: Call, new: Call) -> None:
        self.calls.insert(self.calls.index(anchor) + 1, new)

    def operators(self) -> Iterator[Operator]:
        """Every operator once, in order of first use."""
        yield from dict.fromkeys(call.operator for call in self.calls)

    def calls_of(self, operator: Operator) -> list[Call]:
        return [call for call in self.calls if call.operator is operator]

    def free_name(self, wish: str) -> str:
        """`wish`, or `wish_1`, ... when it is taken."""
        taken = {operator.name for operator in self.operators()} | {entry.name for entry in self.inputs}
        if wish not in taken:
            return wish
        return next(name for number in range(1, len(taken) + 2) if (name := f"{wish}_{number}") not in taken)


def values_in(structure: Any) -> Iterator[Value]:  # noqa: ANN401 - whatever a call takes
    """The Values in nested lists, tuples and dicts, in order; passes ask this often, so it avoids the generic tree walk."""
    if isinstance(structure, Value):
        yield structure
    elif isinstance(structure, list | tuple):
        for item in structure:
            yield from values_in(item)
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from values_in(item)


def as_float64(array: Array) -> NDArray[np.float64]:
    """Folding is done in double precision, so that two folds in a row still agree to float32 rounding."""
    return np.asarray(array, dtype=np.float64)


def as_float32(array: Array) -> NDArray[np.float32]:
    return np.asarray(array, dtype=np.float32)
