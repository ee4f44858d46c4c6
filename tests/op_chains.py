"""Random models of several ops in a row: they share buffers, work in place and give tensors second names.

Only the last tensor of each chain is an output, so that the plan may reuse everything before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.op_cases import OpCases

Shape = tuple[int, ...]


class Chain:
    """A tensor that ops are put onto, and older ones that they may look back at."""

    def __init__(self, cases: OpCases, width: int = 0, shape: Shape | None = None) -> None:
        self.cases = cases
        drawn = tuple(int(n) for n in cases.rng.integers((2, 2, 1), 7))
        self.shape: Shape = shape or (1, drawn[0], width or drawn[1], drawn[2])
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
    state = Chain(c)
    for _ in range(int(c.rng.integers(3, 9))):
        c.pick(_unary, _unary, _arithmetic, _arithmetic, _reshape, _pad, _transpose, _concatenation, _pool, _softmax, _slice)(c, state)
    c.outputs.append(state.tensor)
    if c.rng.random() < 0.3:
        c.outputs.append(c.pick(*state.older)[0])


def convolution_chain(c: OpCases) -> None:
    """Three to seven layers with weights, of the kinds and scales that trained models have, and sums with an earlier tensor."""
    state = Chain(c, width=int(c.pick(0, 0, 0, 1)))
    for _ in range(int(c.rng.integers(3, 8))):
        c.pick(_convolution, _convolution, _pointwise, _pointwise, _depthwise, _depthwise, _arithmetic, _dense)(c, state)
    c.outputs.append(state.tensor)


def _convolution(c: OpCases, s: Chain) -> None:
    layer(c, s, "CONV_2D", int(c.rng.integers(1, 5)), int(c.pick(8, 12, *c.rng.integers(1, 14, 3))))


def _pointwise(c: OpCases, s: Chain) -> None:
    layer(c, s, "CONV_2D", 1, int(c.pick(8, 16, *c.rng.integers(1, 22, 3))))


def _depthwise(c: OpCases, s: Chain) -> None:
    layer(c, s, "DEPTHWISE_CONV_2D", int(c.pick(3, 3, 3, 2, 5)), s.shape[3] * (int(c.pick(1, 1, 4)) if s.shape[3] == 1 else 1))


def layer(c: OpCases, s: Chain, kind: str, size: int, channels: int, *, same_shape: bool = False) -> None:
    """A convolution of 8-bit weights as converters write them: -127 to 127, a scale a channel, output scales that fit."""
    _, h, w, depth = s.shape
    stride = 1 if same_shape else int(c.pick(1, 1, 1, 2))
    kh, kw = size, 1 if w == 1 else size
    padding = "SAME" if same_shape or kh > h or kw > w else c.pick("SAME", "SAME", "VALID")
    depthwise = kind == "DEPTHWISE_CONV_2D"
    shape = (1, kh, kw, channels) if depthwise else (channels, kh, kw, depth)
    scales = np.exp(c.rng.uniform(np.log(0.002), np.log(0.02), channels)).astype(np.float32)
    values = np.maximum(c.data(shape), -127)
    if not depthwise and depth % 4 == 0 and c.pick(True, False):
        values = _without_blocks(c, values)
    weights = c.constant(values, "int8", scale=scales, axis=3 if depthwise else 0)
    bias = c.constant(c.rng.integers(-2000, 2000, channels), "int32", scale=float(s.quantization["scale"] * scales[0]))
    fan_in = kh * kw * (1 if depthwise else depth)
    scale = float(np.float32(s.quantization["scale"] * scales.max() * 60 * fan_in**0.5))
    options = {"depth_multiplier": channels // depth} if depthwise else {}
    out = (1, _windows(h, kh, stride, padding), _windows(w, kw, stride, padding), channels)
    given = {"padding": padding, "stride_h": stride, "stride_w": stride, "activation": c.pick("NONE", "RELU", "RELU6"), **options}
    s.put(kind, out, {"scale": scale, "zero_point": c.zero_point()}, weights, bias, **given)


def _without_blocks(c: OpCases, weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Most blocks of four input channels are zero, now and then all of a filter."""
    blocks = weights.reshape(*weights.shape[:3], -1, 4)
    return np.where(c.rng.random(blocks.shape[:4])[..., None] < c.pick(0.3, 0.1), blocks, 0).reshape(weights.shape)


def _dense(c: OpCases, s: Chain) -> None:
    channels, depth = int(c.rng.integers(1, 14)), int(np.prod(s.shape))
    scale = float(np.float32(c.scale(0.002, 0.02)))
    weights = c.constant(np.maximum(c.data((channels, depth)), -127), "int8", scale=scale)
    bias = c.constant(c.rng.integers(-2000, 2000, channels), "int32", scale=float(np.float32(s.quantization["scale"]) * np.float32(scale)))
    out = float(np.float32(s.quantization["scale"] * scale * 60 * depth**0.5))
    s.put("FULLY_CONNECTED", (1, channels), {"scale": out, "zero_point": c.zero_point()}, weights, bias)
    s.put("RESHAPE", (1, 1, 1, channels), s.quantization, c.constant((1, 1, 1, channels)), new_shape=(1, 1, 1, channels))


def _windows(size: int, filter_size: int, stride: int, padding: str) -> int:
    return -(-size // stride) if padding == "SAME" else (size - filter_size) // stride + 1


def _unary(c: OpCases, s: Chain) -> None:
    kind = c.pick("RELU", "RELU6", "TANH", "LOGISTIC", "QUANTIZE", "HARD_SWISH")
    given = {"TANH": {"scale": 1 / 128, "zero_point": 0}, "LOGISTIC": {"scale": 1 / 256, "zero_point": -128}}
    s.put(kind, s.shape, given.get(kind) or c.pick(s.quantization, c.quantization(0.01, 0.1)))


def _arithmetic(c: OpCases, s: Chain) -> None:
    same = [tensor for tensor, shape, _ in s.older if shape == s.shape]
    channels = c.constant(c.data(s.shape[-1:]), "int8", **c.quantization(0.01, 0.1))
    other = c.pick(s.tensor, channels, *same)
    s.put(c.pick("ADD", "SUB", "MUL"), s.shape, c.quantization(0.01, 0.1), other, first=c.pick(True, False))


def _reshape(c: OpCases, s: Chain) -> None:
    shape = (1, int(np.prod(s.shape)) // s.shape[-1], 1, s.shape[-1])
    s.put("RESHAPE", shape, s.quantization, c.constant(shape), new_shape=shape)


def _pad(c: OpCases, s: Chain) -> None:
    widths = c.rng.integers(0, 2, (4, 2))
    widths[0] = 0
    s.put("PAD", tuple(int(d + w.sum()) for d, w in zip(s.shape, widths, strict=True)), s.quantization, c.constant(widths))


def _transpose(c: OpCases, s: Chain) -> None:
    order = (0, *(1 + int(p) for p in c.rng.permutation(3)))
    s.put("TRANSPOSE", tuple(s.shape[p] for p in order), s.quantization, c.constant(order))


def _concatenation(c: OpCases, s: Chain) -> None:
    other = c.pick(s.tensor, c.constant(c.data(s.shape), "int8", **s.quantization))
    s.put("CONCATENATION", (*s.shape[:3], 2 * s.shape[3]), s.quantization, other, axis=3)


def _pool(c: OpCases, s: Chain) -> None:
    kind = c.pick("AVERAGE_POOL_2D", "MAX_POOL_2D")
    sides = {"stride_h": 1, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    s.put(kind, (1, s.shape[1], -(-s.shape[2] // 2), s.shape[3]), s.quantization, padding="SAME", **sides)


def _softmax(c: OpCases, s: Chain) -> None:
    s.put("SOFTMAX", s.shape, {"scale": 1 / 256, "zero_point": -128}, beta=1.0)


def _slice(c: OpCases, s: Chain) -> None:
    ends, ones = c.constant([0, s.shape[1], s.shape[2], s.shape[3]]), c.constant([1, 1, 1, 1])
    width = s.shape[2] if c.rng.random() < 0.3 else None
    begin = c.constant([0, 0, 0 if width else s.shape[2] - 1, 0])
    s.put("STRIDED_SLICE", (1, s.shape[1], width or 1, s.shape[3]), s.quantization, begin, ends, ones, begin_mask=1, end_mask=1)
