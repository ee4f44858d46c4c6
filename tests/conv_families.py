"""Random convolutions and dense layers, each function adding one to an `OpCases`.

Parameters stay inside what TFLM takes: it aborts the process, or refuses, beyond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.op_cases import OpCases
from tests.op_families import activation


def output_size(size: int, filter_size: int, stride: int, dilation: int, padding: str) -> int:
    """Outputs along one dimension."""
    return -(-size // stride) if padding == "SAME" else (size - (filter_size - 1) * dilation - 1) // stride + 1


def window(c: OpCases, size: int) -> tuple[int, int, int, str]:
    """Filter, stride, dilation and padding along a dimension of `size`; VALID windows fit."""
    filter_size, stride, dilation = int(c.rng.integers(1, 6)), int(c.pick(1, 1, 2, 3)), int(c.pick(1, 1, 1, 2, 3))
    padding = c.pick("SAME", "VALID") if (filter_size - 1) * dilation < size else "SAME"
    return filter_size, stride, dilation, padding


def weight_scales(c: OpCases, channels: int) -> NDArray[np.float32]:
    """One scale for all channels, or one each; some are far apart, or tiny enough to become a multiplier of 0."""
    count = c.pick(1, channels, channels)
    scales = np.exp(c.rng.uniform(np.log(1e-3), np.log(0.05), count))
    if c.rng.random() < 0.15:
        scales[0] = 1e-9
    return scales.astype(np.float32)


def output_quantization(c: OpCases, product: float, depth: int) -> dict[str, Any]:
    """An output scale that fits sums of `depth` products, or one much smaller (shifts to the left) or larger."""
    fitting = product * 5000 * max(depth, 1) ** 0.5 / 64
    return {"scale": fitting * c.scale(*c.pick((0.5, 3), (0.5, 3), (0.5, 3), (2e-5, 0.1), (10, 1e8))), "zero_point": c.zero_point()}


def optional_bias(c: OpCases, channels: int, product: float) -> list[int]:
    """The index of a bias, -1 for one left out, or nothing."""
    return c.pick([bias(c, channels, product)], [bias(c, channels, product)], [-1], [])


def bias(c: OpCases, channels: int, product: float) -> int:
    """The index of a bias. Some reach the ends of int32."""
    values = c.rng.integers(-20_000, 20_000, channels)
    if c.rng.random() < 0.1:
        values[0] = c.pick(2**31 - 1, -(2**31))
    return c.constant(values, "int32", scale=product)


def conv2d(c: OpCases) -> None:
    n, h, w = int(c.pick(1, 1, 2)), *(int(v) for v in c.rng.integers(1, 11, 2))
    groups = int(c.pick(1, 1, 1, 2, 3))
    depth, filters = groups * int(c.rng.integers(1, 6)), groups * int(c.rng.integers(1, 10))
    (kh, sh, dh, padding), (kw, sw, dw, other) = window(c, h), window(c, w)
    padding = "SAME" if "SAME" in (padding, other) else "VALID"
    q, scales = c.quantization(), weight_scales(c, filters)
    weights = c.data((filters, kh, kw, depth // groups))
    product = float(np.float32(q["scale"]) * scales[0])
    out = (n, output_size(h, kh, sh, dh, padding), output_size(w, kw, sw, dw, padding), filters)
    qo = output_quantization(c, float(np.float32(q["scale"]) * scales.max()), kh * kw * depth // groups)
    constant = c.constant(weights, "int8", scale=scales, axis=0) if len(scales) > 1 else c.constant(weights, "int8", scale=scales[0])
    inputs = [c.input((n, h, w, depth), **q), constant, *optional_bias(c, filters, product)]
    c.builder.op(
        "CONV_2D",
        inputs,
        [c.output(out, **qo)],
        padding=padding,
        stride_h=sh,
        stride_w=sw,
        dilation_h_factor=dh,
        dilation_w_factor=dw,
        activation=activation(c, qo["scale"]),
    )


def depthwise(c: OpCases) -> None:
    """Always with a bias: TFLM reads address 0 where it is given as -1."""
    _depthwise(c, lambda channels, product: [bias(c, channels, product)])


def depthwise_without_bias(c: OpCases) -> None:
    """For the oracle and generated C alone."""
    _depthwise(c, lambda channels, product: c.pick([-1], []))


def _depthwise(c: OpCases, make_bias: Callable[[int, float], list[int]]) -> None:
    n, h, w = int(c.pick(1, 1, 2)), *(int(v) for v in c.rng.integers(1, 11, 2))
    depth, multiplier = int(c.rng.integers(1, 12)), int(c.pick(1, 1, 1, 2, 3))
    channels = depth * multiplier
    (kh, sh, dh, padding), (kw, sw, dw, other) = window(c, h), window(c, w)
    padding = "SAME" if "SAME" in (padding, other) else "VALID"
    q, scales = c.quantization(), weight_scales(c, channels)
    weights = c.data((1, kh, kw, channels))
    product = float(np.float32(q["scale"]) * scales[0])
    out = (n, output_size(h, kh, sh, dh, padding), output_size(w, kw, sw, dw, padding), channels)
    qo = output_quantization(c, float(np.float32(q["scale"]) * scales.max()), kh * kw)
    constant = c.constant(weights, "int8", scale=scales, axis=3) if len(scales) > 1 else c.constant(weights, "int8", scale=scales[0])
    inputs = [c.input((n, h, w, depth), **q), constant, *make_bias(channels, product)]
    c.builder.op(
        "DEPTHWISE_CONV_2D",
        inputs,
        [c.output(out, **qo)],
        padding=padding,
        stride_h=sh,
        stride_w=sw,
        depth_multiplier=multiplier,
        dilation_h_factor=dh,
        dilation_w_factor=dw,
        activation=activation(c, qo["scale"]),
    )


def transpose_conv(c: OpCases) -> None:
    n, oh, ow = int(c.pick(1, 1, 2)), *(int(v) for v in c.rng.integers(1, 13, 2))
    depth, filters = int(c.rng.integers(1, 6)), int(c.rng.integers(1, 10))
    (kh, sh, _, padding), (kw, sw, _, other) = window(c, oh), window(c, ow)
    padding = "SAME" if "SAME" in (padding, other) or kh > oh or kw > ow else "VALID"
    q, scales = c.quantization(), weight_scales(c, filters)
    product = float(np.float32(q["scale"]) * scales[0])
    weights = c.data((filters, kh, kw, depth))
    shape = (n, output_size(oh, kh, sh, 1, padding), output_size(ow, kw, sw, 1, padding), depth)
    qo = output_quantization(c, float(np.float32(q["scale"]) * scales.max()), kh * kw * depth)
    constant = c.constant(weights, "int8", scale=scales, axis=0) if len(scales) > 1 else c.constant(weights, "int8", scale=scales[0])
    out = (n, oh, ow, filters)
    inputs = [c.constant(out), constant, c.input(shape, **q), *optional_bias(c, filters, product)]
    c.builder.op(
        "TRANSPOSE_CONV", inputs, [c.output(out, **qo)], padding=padding, stride_h=sh, stride_w=sw, activation=activation(c, qo["scale"])
    )


def fully_connected(c: OpCases) -> None:
    rows, depth, channels = int(c.pick(1, 1, 2, 3)), int(c.rng.integers(1, 70)), int(c.rng.integers(1, 14))
    q, scales = c.quantization(), weight_scales(c, channels)
    product = float(np.float32(q["scale"]) * scales[0])
    qo = output_quantization(c, float(np.float32(q["scale"]) * scales.max()), depth)
    if len(scales) > 1:
        weights = c.constant(c.data((channels, depth)), "int8", scale=scales, axis=0)
    else:
        # TFLM refuses a per-tensor bias whose scale is not the product; a zero point of the weights is taken into account here only.
        quantization = {"scale": scales[0], "zero_point": c.pick(0, 0, c.zero_point())}
        weights = c.constant(c.data((channels, depth)), "int8", **quantization)
        if c.pick(False, False, True):
            weights = c.input((channels, depth), **quantization)
    shape = c.pick((rows, depth), (rows, 1, 1, depth))
    inputs = [c.input(shape, **q), weights, *optional_bias(c, channels, product)]
    keep = len(shape) == 4 and c.pick(True, False)
    out = (rows, 1, 1, channels) if keep else (rows, channels)
    c.builder.op("FULLY_CONNECTED", inputs, [c.output(out, **qo)], keep_num_dims=keep, activation=activation(c, qo["scale"]))
