"""Random models for kernel tests: many independent ops in one file, so that one compilation checks all of them.

A family of ops is a function that adds one op with random shapes, options and quantization to an `OpCases`. Inputs are graph inputs, every
output is a graph output; `cases.build(count)` repeats the function. The same file then runs in TFLM, in numpy and as generated C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.tflite_builder import ModelBuilder

Family = Callable[["OpCases"], None]


class OpCases:
    """A model that grows op by op, and the random numbers that make it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = ModelBuilder()
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.values: list[NDArray[Any]] = []

    def grow(self, family: Family, count: int) -> OpCases:
        """Add `count` ops of one family."""
        for _ in range(count):
            family(self)
        return self

    def build(self) -> tuple[bytes, list[NDArray[Any]]]:
        """The file, and one value for each of its inputs."""
        self.builder.inputs(*self.inputs)
        self.builder.outputs(*self.outputs)
        return self.builder.build(), self.values

    # Random choices

    def pick(self, *options: Any) -> Any:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def scale(self, low: float = 0.004, high: float = 0.3) -> float:
        """A float32 scale, log-uniform in [low, high]."""
        return float(np.float32(np.exp(self.rng.uniform(np.log(low), np.log(high)))))

    def ratio(self, low: float = 0.3, high: float = 4, smallest: float = 1e-4, largest: float = 1e8) -> float:
        """A float32 factor: mostly in [low, high], now and then down to `smallest` or up to `largest`."""
        return self.scale(*self.pick((low, high), (low, high), (low, high), (low, high), (smallest, low), (high, largest)))

    def zero_point(self) -> int:
        """An int8 zero point, often at an end of the range."""
        return self.pick(-128, 127, 0, int(self.rng.integers(-128, 128)))

    def shape(self, low_rank: int = 0, high_rank: int = 5, largest: int = 6) -> tuple[int, ...]:
        """A small shape; sizes of 1 are frequent."""
        rank = int(self.rng.integers(low_rank, high_rank + 1))
        return tuple(1 if self.rng.random() < 0.25 else int(self.rng.integers(1, largest + 1)) for _ in range(rank))

    def broadcast_pair(self, high_rank: int = 5) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Two shapes that broadcast to a third."""
        out = self.shape(0, high_rank)
        if self.pick(True, False):
            return out, out, out
        a = tuple(1 if self.rng.random() < 0.4 else d for d in out)
        b = tuple(1 if self.rng.random() < 0.4 else d for d in out)
        if self.pick(True, False):
            b = b[int(self.rng.integers(len(b) + 1)) :]
        pair = (a, b) if self.pick(True, False) else (b, a)
        return *pair, tuple(np.broadcast_shapes(*pair))

    def data(self, shape: Sequence[int], dtype: str = "int8") -> NDArray[Any]:
        """Random elements over the whole range of the type."""
        if dtype == "bool":
            return self.rng.integers(0, 2, shape).astype(np.bool_)
        info = np.iinfo(dtype)
        return self.rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)

    # Tensors

    def input(self, shape: Sequence[int], dtype: str = "int8", **quantization: Any) -> int:
        """A graph input with random elements."""
        index = self.builder.tensor(shape, dtype, **quantization)
        self.inputs.append(index)
        self.values.append(self.data(shape, dtype))
        return index

    def constant(self, values: Any, dtype: str = "int32", **quantization: Any) -> int:
        """A constant tensor."""
        array = np.asarray(values, dtype)
        return self.builder.tensor(array.shape, dtype, data=array, **quantization)

    def source(self, shape: Sequence[int], **quantization: Any) -> int:
        """An int8 graph input, or now and then a constant."""
        if self.rng.random() < 0.2:
            return self.constant(self.data(shape), "int8", **quantization)
        return self.input(shape, **quantization)

    def output(self, shape: Sequence[int], dtype: str = "int8", **quantization: Any) -> int:
        """A graph output."""
        index = self.builder.tensor(shape, dtype, **quantization)
        self.outputs.append(index)
        return index

    def quantization(self, low: float = 0.004, high: float = 0.3) -> dict[str, Any]:
        """A random per-tensor quantization."""
        return {"scale": self.scale(low, high), "zero_point": self.zero_point()}
