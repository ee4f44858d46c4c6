"""Random layers whose constant weights can be stored in fewer bits: few values in all or in each filter, int4 tensors, zeros in fours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conv_families import conv2d, depthwise, fully_connected
from tests.edge_families import edge_dense, edge_depthwise, edge_pointwise, edge_sums
from tests.op_cases import Family, OpCases
from tests.wide_families import wide_conv2d, wide_depthwise


def packed_conv2d(c: OpCases) -> None:
    """Grouped, dilated, padded, with few weights or many."""
    _grow(c, conv2d)


def packed_wide_conv2d(c: OpCases) -> None:
    """Depths that are no multiple of four, more filters than are unpacked at once, and the scales of trained models."""
    _grow(c, wide_conv2d)


def packed_pointwise(c: OpCases) -> None:
    """One input channel to 600, one filter to 33, at the bounds of the fast kernels."""
    _grow(c, edge_pointwise)


def packed_depthwise(c: OpCases) -> None:
    """With a depth multiplier or without, at the bounds of the fast kernels, with many channels."""
    _grow(c, c.pick(depthwise, edge_depthwise, wide_depthwise))


def packed_dense(c: OpCases) -> None:
    """Several rows; one output too; rows so long that sums of several weights in one word are taken apart on the way."""
    _grow(c, c.pick(fully_connected, edge_dense, edge_dense, edge_sums))


class _Packable(OpCases):
    """The same model, with weights that can be packed."""

    def __init__(self, c: OpCases) -> None:
        super().__init__(0)
        self.__dict__.update(c.__dict__)

    def constant(self, values: Any, dtype: str = "int32", **quantization: Any) -> int:
        array = np.asarray(values)
        if dtype != "int8" or array.ndim < 2:
            return super().constant(values, dtype, **quantization)
        if self.rng.random() < 0.25:
            return self.builder.tensor(array.shape, "int4", data=array >> 4, **_symmetric(quantization))
        return super().constant(
            self.pick(few_values, few_steps, few_in_a_filter, sparse_fours, sparse_blocks)(self, array), dtype, **quantization
        )


def few_values(c: OpCases, weights: NDArray[np.int8], *counts: int) -> NDArray[np.int8]:
    """1 to 64 values in all, or one of `counts`."""
    book = c.data((int(c.pick(*(counts or (1, 2, 3, 4, 8, 16, 17, 32, 64)))),))
    # Two filters in one word take no -128 beside a negative weight: most books have none.
    book = np.maximum(book, c.pick(-128, -127, -127))
    return book[c.rng.integers(len(book), size=weights.shape)]


def few_steps(c: OpCases, weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Up to 16 values at equal distances."""
    step, count = int(c.pick(1, 2, 7, 16)), int(c.pick(2, 8, 16))
    base = int(c.rng.integers(-127, 128 - step * (count - 1)))
    return (base + step * c.rng.integers(count, size=weights.shape)).astype(np.int8)


def few_in_a_filter(c: OpCases, weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """At most 2 to 32 values in each slice of the first dimension."""
    most = int(c.pick(2, 4, 8, 16, 32))
    return np.stack([few_values(c, row, most, most - 1) for row in weights])


def sparse_fours(c: OpCases, weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """At most one or two of each four weights of a slice are not 0."""
    rows = weights.reshape(len(weights), -1).copy()
    kept = int(c.pick(1, 2))
    for row in rows:
        for first in range(0, len(row), 4):
            four = row[first : first + 4]
            four[c.rng.permutation(len(four))[kept:]] = 0
    return rows.reshape(weights.shape)


def sparse_blocks(c: OpCases, weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Most fours of a slice are all zero, in some slices all of them."""
    rows = weights.reshape(len(weights), -1).copy()
    for row in rows:
        dropped = c.rng.random(-(-row.size // 4)) < c.pick(0.5, 0.8, 0.95, 1.0)
        row[np.repeat(dropped, 4)[: row.size]] = 0
    return rows.reshape(weights.shape)


def _symmetric(quantization: dict[str, Any]) -> dict[str, Any]:
    """Weights of four bits have no other zero point than 0."""
    return {name: value for name, value in quantization.items() if name != "zero_point"}


def _grow(c: OpCases, family: Family) -> None:
    family(_Packable(c))


PACKED: tuple[Family, ...] = (packed_conv2d, packed_wide_conv2d, packed_pointwise, packed_depthwise, packed_dense)
