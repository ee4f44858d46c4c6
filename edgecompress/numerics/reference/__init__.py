"""Every kernel again, in numpy: written for clarity, on whole arrays, and compared byte for byte with the C and with TFLM.

`run_reference` evaluates a whole graph and keeps every tensor, so that the first op that differs from another runtime can be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import DataError
from edgecompress.graph import DType, Graph, Op
from edgecompress.numerics.reference import activation, conv, elementwise, pool, resize, shape, sixteen
from edgecompress.numerics.reference.oracle import NUMPY_TYPES, Oracle, no_oracle

REFERENCE: dict[str, Oracle] = {
    **conv.REFERENCE,
    **elementwise.REFERENCE,
    **activation.REFERENCE,
    **pool.REFERENCE,
    **shape.REFERENCE,
    **resize.REFERENCE,
}


def run_reference(graph: Graph, inputs: Sequence[NDArray[Any]]) -> dict[int, NDArray[Any]]:
    """Evaluate a graph on one set of inputs.

    Args:
        graph: any graph whose ops all stand in `REFERENCE`.
        inputs: one array a graph input, in the tensor's shape and type.

    Returns:
        The value of every tensor that the graph reads or computes, by index: inputs, activations and constants.

    Raises:
        DataError: an input's count, shape or type is wrong.
        UnsupportedOpError: an op, type or option without an oracle.
        ModelError: quantization or shapes that no runtime takes.
    """
    values: dict[int, NDArray[Any]] = {t.index: t.data for t in graph.tensors if t.data is not None}
    values.update(zip(graph.inputs, _checked(graph, inputs), strict=True))
    for op in graph.ops:
        values.update(zip(op.outputs, run_op(graph, op, values), strict=True))
    return values


def run_op(graph: Graph, op: Op, values: dict[int, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    """The outputs of one op from its inputs among `values` (by tensor index).

    Raises:
        UnsupportedOpError: the op, its type or its options have no oracle.
        ModelError: quantization or shapes that no runtime takes.
    """
    oracle = _oracle_of(graph, op)
    if oracle is None:
        raise no_oracle(graph, op, "no numpy oracle for this op")
    # An optional input left out at the end is not there; one in the middle is an empty array.
    last = max((n for n, i in enumerate(op.inputs) if i >= 0), default=-1)
    given = [values[i] if i >= 0 else np.zeros(0, np.int32) for i in op.inputs[: last + 1]]
    try:
        results = oracle(graph, op, given)
    except (ValueError, IndexError) as e:
        raise no_oracle(graph, op, f"its shapes do not fit together: {e}") from e
    for result, index in zip(results, op.outputs, strict=True):
        if result.shape != graph.tensor(index).shape:
            raise no_oracle(graph, op, f"expected an output of shape {graph.tensor(index).shape}, came {result.shape}")
    return results


def _oracle_of(graph: Graph, op: Op) -> Oracle | None:
    """Ops on int16 have oracles of their own where their arithmetic is another."""
    first = graph.tensor(op.inputs[0]).dtype if op.inputs and op.inputs[0] >= 0 else None
    wide = first is DType.INT16 and graph.tensor(op.outputs[0]).dtype is DType.INT16
    return (sixteen.REFERENCE.get(op.kind) if wide else None) or REFERENCE.get(op.kind)


def _checked(graph: Graph, inputs: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
    if len(inputs) != len(graph.inputs):
        raise DataError(f"{graph.name}: expected {len(graph.inputs)} inputs, came {len(inputs)}")
    for value, index in zip(inputs, graph.inputs, strict=True):
        tensor = graph.tensor(index)
        if value.shape != tensor.shape or value.dtype != NUMPY_TYPES.get(tensor.dtype):
            expected = f"{tensor.dtype.value} {tensor.shape}"
            raise DataError(f"{graph.name}: expected {expected} for input {tensor.name}, came {value.dtype} {value.shape}")
    return inputs
