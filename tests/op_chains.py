"""Random models of several ops in a row: they share buffers, work in place and give tensors second names.

Only the last tensor of each chain is an output, so that the plan may reuse everything before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.op_cases import OpCases

Shape = tuple[int, ...]


class _Chain:
    """A tensor that ops are put onto, and older ones that they may look back at."""

    def __init__(self, cases: OpCases) -> None:
        self.cases = cases
        self.shape: Shape = (1, int(cases.rng.integers(2, 7)), int(cases.rng.integers(2, 7)), int(cases.rng.integers(1, 7)))
        self.quantization = cases.quantization(0.01, 0.1)
        self.tensor = cases.input(self.shape, **self.quantization)
        self.older: list[tuple[int, Shape, dict[str, Any]]] = []

    def put(self, kind: str, shape: Shape, quantization: dict[str, Any], *others: int, first: bool = True, **options: Any) -> None:
        """One op from the last tensor (and others) to a new one."""
        new = self.cases.builder.tensor(shape, "int8", **quantization)
        inputs = [self.tensor, *others] if first else [*others, self.tensor]
        self.cases.builder.op(kind, inputs, [new], **options)
        self.older.append((self.tensor, self.shape, self.quantization))
        self.tensor, self.shape, self.quantization = new, shape, quantization


def chain(c: OpCases) -> None:
    """Three to eight ops; the last tensor is an output."""
    state = _Chain(c)
    for _ in range(int(c.rng.integers(3, 9))):
        c.pick(_unary, _unary, _arithmetic, _arithmetic, _reshape, _pad, _transpose, _concatenation, _pool, _softmax, _slice)(c, state)
    c.outputs.append(state.tensor)
    if c.rng.random() < 0.3:
        c.outputs.append(c.pick(*state.older)[0])


def _unary(c: OpCases, s: _Chain) -> None:
    kind = c.pick("RELU", "RELU6", "TANH", "LOGISTIC", "QUANTIZE", "HARD_SWISH")
    given = {"TANH": {"scale": 1 / 128, "zero_point": 0}, "LOGISTIC": {"scale": 1 / 256, "zero_point": -128}}
    s.put(kind, s.shape, given.get(kind) or c.pick(s.quantization, c.quantization(0.01, 0.1)))


def _arithmetic(c: OpCases, s: _Chain) -> None:
    same = [tensor for tensor, shape, _ in s.older if shape == s.shape]
    channels = c.constant(c.data(s.shape[-1:]), "int8", **c.quantization(0.01, 0.1))
    other = c.pick(s.tensor, channels, *same)
    s.put(c.pick("ADD", "SUB", "MUL"), s.shape, c.quantization(0.01, 0.1), other, first=c.pick(True, False))


def _reshape(c: OpCases, s: _Chain) -> None:
    shape = (1, int(np.prod(s.shape)) // s.shape[-1], 1, s.shape[-1])
    s.put("RESHAPE", shape, s.quantization, c.constant(shape), new_shape=shape)


def _pad(c: OpCases, s: _Chain) -> None:
    widths = c.rng.integers(0, 2, (4, 2))
    widths[0] = 0
    s.put("PAD", tuple(int(d + w.sum()) for d, w in zip(s.shape, widths, strict=True)), s.quantization, c.constant(widths))


def _transpose(c: OpCases, s: _Chain) -> None:
    order = (0, *(1 + int(p) for p in c.rng.permutation(3)))
    s.put("TRANSPOSE", tuple(s.shape[p] for p in order), s.quantization, c.constant(order))


def _concatenation(c: OpCases, s: _Chain) -> None:
    other = c.pick(s.tensor, c.constant(c.data(s.shape), "int8", **s.quantization))
    s.put("CONCATENATION", (*s.shape[:3], 2 * s.shape[3]), s.quantization, other, axis=3)


def _pool(c: OpCases, s: _Chain) -> None:
    kind = c.pick("AVERAGE_POOL_2D", "MAX_POOL_2D")
    sides = {"stride_h": 1, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    s.put(kind, (1, s.shape[1], -(-s.shape[2] // 2), s.shape[3]), s.quantization, padding="SAME", **sides)


def _softmax(c: OpCases, s: _Chain) -> None:
    s.put("SOFTMAX", s.shape, {"scale": 1 / 256, "zero_point": -128}, beta=1.0)


def _slice(c: OpCases, s: _Chain) -> None:
    ends, ones = c.constant([0, s.shape[1], s.shape[2], s.shape[3]]), c.constant([1, 1, 1, 1])
    width = s.shape[2] if c.rng.random() < 0.3 else None
    begin = c.constant([0, 0, 0 if width else s.shape[2] - 1, 0])
    s.put("STRIDED_SLICE", (1, s.shape[1], width or 1, s.shape[3]), s.quantization, begin, ends, ones, begin_mask=1, end_mask=1)
