"""What every op's oracle looks like, and what oracles ask of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import UnsupportedOpError
from edgecompress.graph import DType, Graph, Op, Tensor

Array = NDArray[Any]
Values = Sequence[Array]
"""The op's inputs in order, in the shapes of their tensors."""

Oracle = Callable[[Graph, Op, Values], tuple[Array, ...]]
"""The op's outputs in order, in the shapes and types of their tensors."""

NUMPY_TYPES: dict[DType, type[np.generic]] = {
    DType.FLOAT32: np.float32,
    DType.FLOAT16: np.float16,
    DType.INT4: np.int8,
    DType.INT8: np.int8,
    DType.UINT8: np.uint8,
    DType.INT16: np.int16,
    DType.INT32: np.int32,
    DType.INT64: np.int64,
    DType.BOOL: np.bool_,
}
"""How the elements of a tensor are kept in an array (int4 unpacked)."""


def no_oracle(graph: Graph, op: Op, reason: str) -> UnsupportedOpError:
    """The error for an op that has no oracle: layer, kind, version and why."""
    layer = graph.tensor(op.outputs[0]).name if op.outputs else f"op {op.index}"
    return UnsupportedOpError(f"{layer}: {op.kind} version {op.version} (op {op.index}): {reason}", hint="compare with TFLM alone")


def tensors_of(graph: Graph, op: Op, inputs: int) -> tuple[Tensor, ...]:
    """The op's first `inputs` input tensors and its outputs.

    Raises:
        UnsupportedOpError: one of the inputs is left out.
    """
    if len(op.inputs) < inputs or any(i < 0 for i in op.inputs[:inputs]):
        raise no_oracle(graph, op, f"expected {inputs} inputs, came {op.inputs}")
    return tuple(graph.tensor(i) for i in (*op.inputs[:inputs], *op.outputs))


def require_types(graph: Graph, op: Op, tensors: Sequence[Tensor], *types: DType) -> None:
    """Every tensor must have one of these types.

    Raises:
        UnsupportedOpError: a tensor of another type.
    """
    for tensor in tensors:
        if tensor.dtype not in types:
            expected = " or ".join(t.value for t in types)
            raise no_oracle(graph, op, f"expected {expected}, came {tensor.dtype.value} in {tensor.name}")


def require_quantized(graph: Graph, op: Op, tensors: Sequence[Tensor], *types: DType) -> None:
    """Every tensor must have one of these types, and one scale and zero point.

    Raises:
        UnsupportedOpError: a tensor of another type, not quantized, or quantized by channel.
    """
    require_types(graph, op, tensors, *types)
    for tensor in tensors:
        if tensor.quantization is None or len(tensor.quantization.scales) != 1 or len(tensor.quantization.zero_points) != 1:
            raise no_oracle(graph, op, f"expected one scale and zero point for {tensor.name}, came {tensor.quantization}")
