"""Graphs put together by hand, without a file: for tests that need numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecompress.graph import DType, Graph, NoOptions, Op, Options, Quantization, Tensor


def tensor(
    index: int, shape: Sequence[int], scale: float | None = 1.0, zero_point: int = 0, dtype: DType = DType.INT8, data: Any = None
) -> Tensor:
    """A tensor t<index>; `data` makes it a constant."""
    quantization = None if scale is None else Quantization((float(np.float32(scale)),), (zero_point,))
    return Tensor(index, f"t{index}", tuple(shape), dtype, quantization, data)


def constant(index: int, values: Any) -> Tensor:
    """An int32 constant t<index>."""
    array = np.asarray(values, np.int32)
    return Tensor(index, f"t{index}", array.shape, DType.INT32, None, array)


def one_op(kind: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], options: Options | None = None, version: int = 1) -> Graph:
    """A graph of a single op; tensors are numbered inputs first."""
    tensors = (*inputs, *outputs)
    assert [t.index for t in tensors] == list(range(len(tensors)))
    op = Op(0, kind, version, tuple(t.index for t in inputs), tuple(t.index for t in outputs), options or NoOptions())
    given = tuple(t.index for t in inputs if not t.is_constant)
    return Graph("m", "0" * 64, 0, tensors, (op,), given, op.outputs)
