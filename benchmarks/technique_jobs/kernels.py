"""What the int8 kernels of a .tflite hold: zeros, and how small they would be as indices into a codebook for each layer.

A kernel of n weights with K distinct values packs into ceil(log2 K) * n bits and K bytes of codebook.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecompress.convert import read_tflite

_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_KERNEL = 1
"""Which input of these ops it is."""


@dataclass(frozen=True)
class Kernels:
    """Shares of all kernels' elements that are 0, and of their bytes that indices with codebooks would take."""

    zeros: float
    packed: float


def read_kernels(path: Path) -> Kernels | None:
    """Of one file; None when its kernels are not int8."""
    graph = read_tflite(path.read_bytes(), name=path.stem)
    found = {op.inputs[_KERNEL] for op in graph.ops if op.kind in _WEIGHTED}
    arrays = [array for index in sorted(found) if (array := graph.tensor(index).data) is not None]
    if not arrays or any(array.dtype != np.int8 for array in arrays):
        return None
    count = sum(array.size for array in arrays)
    zeros = count - sum(int(np.count_nonzero(array)) for array in arrays)
    return Kernels(zeros / count, sum(_packed_bytes(array.size, len(np.unique(array))) for array in arrays) / count)


def _packed_bytes(weights: int, values: int) -> int:
    return math.ceil(math.ceil(math.log2(max(values, 2))) * weights / 8) + values
