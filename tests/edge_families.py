"""Random layers at the edges of what fast kernels take: each draw steps on one side or the other of a bound.

Beside `conv_families` (every option that TFLM takes) and `wide_families` (the scales of trained models) these have sums around 2^23 and
2^30, weights of -128 where a packing allows them and where it does not, scales from 1e-11 up, strides over the size of the image, and
images of one pixel. For the oracle and generated C alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conv_families import output_size
from tests.op_cases import OpCases
from tests.op_families import activation


def edge_conv2d(c: OpCases) -> None:
    """Filters of 1x1 to 5x5 on small images; now and then in groups."""
    n, h, w = _image(c)
    groups = int(c.pick(1, 1, 1, 1, 2, 3))
    depth = int(c.pick(1, 2, 3, 4, 5, 7, 8, 9, 16, 19, 33)) if groups == 1 else int(c.rng.integers(1, 7))
    filters = groups * int(c.rng.integers(1, 14))
    (kh, sh, dh), (kw, sw, dw) = (_window(c) for _ in range(2))
    if n * h * w * kh * kw * depth * filters > _MOST_MACS:
        kh = kw = 1
    _convolve(c, "CONV_2D", (n, h, w, groups * depth), (filters, kh, kw, depth), (sh, sw), (dh, dw))


def edge_pointwise(c: OpCases) -> None:
    """Filters of 1x1, with strides, on few pixels or many channels."""
    n, h, w = _image(c)
    depth, filters = int(c.pick(1, 3, 4, 6, 8, 13, 16, 31, 64, 129, 600)), int(c.pick(1, 2, 3, 4, 5, 8, 11, 16, 33))
    strides = int(c.pick(1, 1, 1, 2, 9)), int(c.pick(1, 1, 1, 2, 9))
    _convolve(c, "CONV_2D", (n, h, w, depth), (filters, 1, 1, depth), strides, (1, 1))


def edge_depthwise(c: OpCases) -> None:
    """One filter a channel; a depth multiplier now and then."""
    n, h, w = _image(c)
    depth, multiplier = int(c.pick(1, 2, 3, 4, 5, 8, 11, 16, 21)), int(c.pick(1, 1, 1, 1, 1, 1, 1, 2))
    (kh, sh, dh), (kw, sw, dw) = (_window(c) for _ in range(2))
    _convolve(c, "DEPTHWISE_CONV_2D", (n, h, w, depth), (1, kh, kw, depth * multiplier), (sh, sw), (dh, dw), depth_multiplier=multiplier)


def edge_dense(c: OpCases) -> None:
    """Long and short rows, one or several; weights of one scale or of one a channel."""
    rows, depth, units = (
        int(c.pick(1, 1, 1, 2, 3)),
        int(c.pick(1, 2, 3, 5, 8, 17, 64, 127, 300, 515, 520, 1100)),
        int(c.pick(1, 2, 3, 4, 5, 8, 13)),
    )
    q = _input_quantization(c)
    weights, bias, qo = _weights(c, q, (units, depth), 0)
    clamp = activation(c, qo["scale"])
    c.builder.op("FULLY_CONNECTED", [_input(c, (rows, depth), q), weights, *bias], [c.output((rows, units), **qo)], activation=clamp)


def edge_sums(c: OpCases) -> None:
    """The largest sums there are, 128 times 127 or 128 in each product: with 516 of them they reach 2^23, and outputs tell them apart."""
    depth, units = int(c.pick(511, 512, 515, 516, 517, 520, 1030, 2100)), int(c.rng.integers(1, 7))
    q = {"scale": c.scale(), "zero_point": c.zero_point()}
    rows = np.array([c.pick(-128, -127, 127, 127) for _ in range(units)], np.int8)
    scales = np.full(units, c.scale(0.002, 0.02), np.float32)
    dense = c.pick(True, False)
    shape = (units, depth) if dense else (units, 1, 1, depth)
    weights = c.constant(np.broadcast_to(rows.reshape(-1, *(1,) * (len(shape) - 1)), shape), "int8", scale=scales, axis=0)
    bias = c.constant(c.rng.integers(-2000, 2000, units), "int32", scale=float(np.float32(q["scale"]) * scales[0]))
    qo = {"scale": float(np.float32(q["scale"] * scales[0] * 128 * 127 * depth / c.pick(90, 200))), "zero_point": c.zero_point()}
    source = c.input((1, depth) if dense else (1, 1, 2, depth), **q)
    c.values[-1][...] = c.pick(-128, -128, 127)
    output = c.output((1, units) if dense else (1, 1, 2, units), **qo)
    options = {} if dense else {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    c.builder.op("FULLY_CONNECTED" if dense else "CONV_2D", [source, weights, bias], [output], **options)


def edge_add(c: OpCases) -> None:
    """Two tensors of one shape, of every count of elements, with scales that are equal or far apart."""
    shape = (1, int(c.pick(1, 1, 2, 5)), int(c.rng.integers(1, 9)), int(c.rng.integers(1, 20)))
    qa = {"scale": c.scale(*c.pick((0.004, 0.3), (1e-11, 1e-9), (1, 1e6))), "zero_point": c.zero_point()}
    qb = {"scale": qa["scale"] * c.pick(1.0, 0.5, c.scale(0.1, 1), c.scale(1e-11, 1)), "zero_point": c.zero_point()}
    qa, qb = c.pick((qa, qb), (qb, qa))
    qo = {"scale": max(qa["scale"], qb["scale"]) * c.ratio(smallest=5e-6), "zero_point": c.zero_point()}
    clamp = activation(c, qo["scale"])
    c.builder.op(c.pick("ADD", "ADD", "SUB"), [c.input(shape, **qa), c.input(shape, **qb)], [c.output(shape, **qo)], activation=clamp)


_MOST_MACS = 150_000


def _image(c: OpCases) -> tuple[int, int, int]:
    """Images, height and width; single pixels, rows and columns are frequent."""
    h, w = (1 if c.rng.random() < 0.25 else int(c.rng.integers(2, 9)) for _ in range(2))
    return int(c.pick(1, 1, 1, 2)), h, w


def _window(c: OpCases) -> tuple[int, int, int]:
    """Filter, stride and dilation along one side."""
    return int(c.pick(1, 2, 3, 3, 4, 5)), int(c.pick(1, 1, 1, 2, 2, 2, 3, 9)), int(c.pick(1, 1, 1, 1, 1, 1, 2, 3))


def _convolve(
    c: OpCases,
    kind: str,
    source: tuple[int, ...],
    weights: tuple[int, ...],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    **more: Any,
) -> None:
    _, h, w, _ = source
    kh, kw = weights[1:3]
    fits = (kh - 1) * dilations[0] < h and (kw - 1) * dilations[1] < w
    padding = c.pick("SAME", "VALID") if fits else "SAME"
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    q = _input_quantization(c)
    values, bias, qo = _weights(c, q, weights, axis)
    rows, columns = (output_size(*side, padding) for side in zip((h, w), (kh, kw), strides, dilations, strict=True))
    options = {"stride_h": strides[0], "stride_w": strides[1], "dilation_h_factor": dilations[0], "dilation_w_factor": dilations[1]}
    c.builder.op(
        kind,
        [_input(c, source, q), values, *bias],
        [c.output((source[0], rows, columns, weights[axis]), **qo)],
        padding=padding,
        activation=activation(c, qo["scale"]),
        **options,
        **more,
    )


def _input(c: OpCases, shape: tuple[int, ...], q: dict[str, Any]) -> int:
    """Random elements, or one end of the range: with weights of one sign the largest sums there are."""
    index = c.input(shape, **q)
    if c.rng.random() < 0.2:
        c.values[-1][...] = c.pick(-128, -128, 127)
    return index


def _input_quantization(c: OpCases) -> dict[str, Any]:
    return {"scale": c.scale(*c.pick((0.004, 0.3), (0.004, 0.3), (1e-7, 1e-5), (1, 100))), "zero_point": c.zero_point()}


def _weights(c: OpCases, q: dict[str, Any], shape: tuple[int, ...], axis: int) -> tuple[int, list[int], dict[str, Any]]:
    """Weights, what stands for a bias, and the output's quantization."""
    channels = shape[axis]
    low, high = c.pick((0.002, 0.02), (0.002, 0.02), (1e-4, 0.1), (1e-11, 1e-9))
    scales = np.exp(c.rng.uniform(np.log(low), np.log(high), c.pick(1, channels, channels, channels))).astype(np.float32)
    if c.rng.random() < 0.1:
        scales[-1] = np.float32(1e-11)
    values = _values(c, shape, axis)
    given = {"scale": scales, "axis": axis} if len(scales) > 1 else {"scale": scales[0]}
    fan_in = values.size // channels
    product = float(np.float32(q["scale"]) * scales.max())
    fit = product * 60 * fan_in**0.5
    # Mostly a scale that fits the sums; else one that saturates everything, one near a shift by one, or one that leaves a count or two.
    scale = c.pick(fit, fit, fit, fit * c.scale(0.02, 0.3), product * c.scale(0.5, 8), fit * c.scale(20, 1e5))
    return (
        c.constant(values, "int8", **given),
        _bias(c, channels, product),
        {"scale": float(np.float32(scale)), "zero_point": c.zero_point()},
    )


def _values(c: OpCases, shape: tuple[int, ...], axis: int) -> NDArray[np.int8]:
    """As converters write them (-127 to 127), with -128 in some channels or anywhere, the ends alone, or hardly anything."""
    values = c.data(shape)
    match int(c.rng.integers(10)):
        case 0:
            return values
        case 1:
            return np.where(values < 0, -128, 127).astype(np.int8)
        case 2:
            return np.where(np.abs(values.astype(np.int16)) > 120, values, 0).astype(np.int8)
        case 3:  # -128 in channels with an even number only: the first of a pair
            channel = np.arange(shape[axis]).reshape([-1 if n == axis else 1 for n in range(len(shape))])
            return np.where((values < -100) & (channel % 2 == 0), -128, np.maximum(values, -127)).astype(np.int8)
        case 4 | 5:
            return np.full(shape, c.pick(-128, -127, 127, 127, 0), np.int8)
    return np.maximum(values, -127)


def _bias(c: OpCases, channels: int, product: float) -> list[int]:
    """Small, up to a bound of the fast kernels and just over it, at the ends of int32, or none."""
    reach = c.pick(2000, 2000, 100_000, 2**29, 2**30)
    values = c.rng.integers(-reach, reach, channels)
    if c.rng.random() < 0.1:
        values[0] = c.pick(2**31 - 1, -(2**31), 2**30 - 1, -(2**30))
    return c.pick([c.constant(values, "int32", scale=product)], [c.constant(values, "int32", scale=product)], [-1], [])
