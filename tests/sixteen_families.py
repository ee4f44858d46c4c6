"""Random ops on int16 activations, each function adding one to an `OpCases`.

Parameters stay inside what TFLM takes: it aborts the process, or refuses, beyond. Scales of 64-bit sums shift to the left by at most 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conv_families import output_size, window
from tests.op_cases import OpCases

_MOST_LEFT = 100.0


def activation(c: OpCases, scale: float) -> str:
    """A fused activation. TFLM refuses one when 6 / scale does not fit int32."""
    return c.pick("NONE", "NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1") if scale > 1e-8 else "NONE"


def source(c: OpCases, shape: Sequence[int], scale: float) -> int:
    """Random elements, one end of the range, or small ones."""
    index = c.input(shape, "int16", scale=scale)
    values = c.values[-1]
    match int(c.rng.integers(5)):
        case 0:
            values[...] = c.pick(-32768, 32767)
        case 1:
            values[...] = np.where(values < 0, -32768, 32767)
        case 2:
            values[...] = values >> 6
    return index


def output(c: OpCases, shape: Sequence[int], scale: float) -> int:
    """A graph output of int16."""
    return c.output(shape, "int16", scale=scale)


def sixteen_conv(c: OpCases) -> None:
    """CONV_2D, also grouped and dilated, with a bias of 64 bits, of 32 bits, or none."""
    n, h, w = int(c.pick(1, 1, 2)), *(int(v) for v in c.rng.integers(1, 9, 2))
    groups = int(c.pick(1, 1, 1, 2, 3))
    depth, filters = groups * int(c.rng.integers(1, 8)), groups * int(c.rng.integers(1, 10))
    (kh, sh, dh, padding), (kw, sw, dw, other) = window(c, h), window(c, w)
    padding = "SAME" if "SAME" in (padding, other) else "VALID"
    options = {"padding": padding, "stride_h": sh, "stride_w": sw, "dilation_h_factor": dh, "dilation_w_factor": dw}
    out = (n, output_size(h, kh, sh, dh, padding), output_size(w, kw, sw, dw, padding), filters)
    _weighted(c, "CONV_2D", (n, h, w, depth), (filters, kh, kw, depth // groups), 0, out, **options)


def sixteen_depthwise(c: OpCases) -> None:
    """DEPTHWISE_CONV_2D with a bias of 64 bits: TFLM reads any other as one."""
    n, h, w = int(c.pick(1, 1, 2)), *(int(v) for v in c.rng.integers(1, 9, 2))
    depth, multiplier = int(c.rng.integers(1, 12)), int(c.pick(1, 1, 1, 2, 3))
    (kh, sh, dh, padding), (kw, sw, dw, other) = window(c, h), window(c, w)
    padding = "SAME" if "SAME" in (padding, other) else "VALID"
    options = {"padding": padding, "stride_h": sh, "stride_w": sw, "dilation_h_factor": dh, "dilation_w_factor": dw}
    channels = depth * multiplier
    out = (n, output_size(h, kh, sh, dh, padding), output_size(w, kw, sw, dw, padding), channels)
    shapes = ((n, h, w, depth), (1, kh, kw, channels))
    _weighted(c, "DEPTHWISE_CONV_2D", *shapes, 3, out, depth_multiplier=multiplier, **options)


def sixteen_dense(c: OpCases) -> None:
    """FULLY_CONNECTED, rows short and long enough for sums beyond 32 bits."""
    rows, depth, units = int(c.pick(1, 1, 2, 3)), int(c.pick(1, 2, 3, 17, 64, 513, 700)), int(c.rng.integers(1, 12))
    _weighted(c, "FULLY_CONNECTED", (rows, depth), (units, depth), 0, (rows, units))


def _weighted(c: OpCases, kind: str, shape: Sequence[int], filters: Sequence[int], axis: int, out: Sequence[int], **options: Any) -> None:
    channels = filters[axis]
    scale = c.scale(*c.pick((1e-5, 1e-3), (1e-5, 1e-3), (1e-11, 1e-9)))
    scales = np.exp(c.rng.uniform(np.log(1e-3), np.log(0.05), c.pick(1, channels, channels))).astype(np.float32)
    if c.rng.random() < 0.15:
        scales[0] = 1e-9
    values = _weights(c, filters)
    product = float(np.float32(scale) * scales.max())
    fan_in = values.size // channels
    fit = product * 60 * fan_in**0.5
    qo = float(np.float32(c.pick(fit, fit, fit, fit * c.scale(0.02, 0.3), max(product / _MOST_LEFT, 1e-12), fit * c.scale(20, 1e5))))
    given = {"scale": scales, "axis": axis} if len(scales) > 1 else {"scale": scales[0]}
    inputs = [source(c, shape, scale), c.constant(values, "int8", **given)]
    inputs += _bias(c, channels, float(np.float32(scale) * scales[0]), kind)
    options |= _sums(kind, inputs) if c.pick(True, False) else {}
    c.builder.op(kind, inputs, [output(c, out, qo)], activation=activation(c, qo), **options)


def _weights(c: OpCases, shape: Sequence[int]) -> NDArray[np.int8]:
    values = c.data(shape)
    match int(c.rng.integers(5)):
        case 0:
            return np.full(shape, c.pick(-128, -127, 127, 0), np.int8)
        case 1:
            return np.where(values < 0, -128, 127).astype(np.int8)
    return values


def _bias(c: OpCases, channels: int, scale: float, kind: str) -> list[int]:
    reach = c.pick(2_000_000, 2_000_000, 2**31)
    values = c.rng.integers(-reach, reach, channels)
    if kind == "DEPTHWISE_CONV_2D":
        return [c.constant(values * c.pick(1, 1, 2**12), "int64", scale=scale)]
    if c.pick(True, False):
        return [c.constant(values * c.pick(1, 1, 2**12), "int64", scale=scale)]
    return c.pick([c.constant(values, "int32", scale=scale)], [-1])


def _sums(kind: str, inputs: Sequence[int]) -> dict[str, int]:
    """Of a layer without bias: what its sums were meant for."""
    return {"quantized_bias_type": 2} if kind != "DEPTHWISE_CONV_2D" and inputs[-1] == -1 else {}


def sixteen_sum(c: OpCases) -> None:
    """ADD and SUB, scales equal or far apart."""
    a, b, out = c.broadcast_pair(4)
    qa = c.scale(*c.pick((1e-5, 1e-3), (1e-5, 1e-3), (1e-11, 1e-9), (1, 100)))
    qb = qa * c.pick(1.0, 0.5, c.scale(1e-3, 1), c.scale(1e-11, 1))
    qa, qb = c.pick((qa, qb), (qb, qa))
    qo = float(np.float32(max(qa, qb) * c.ratio(smallest=2e-4)))
    inputs = [source(c, a, qa), source(c, b, qb)]
    c.builder.op(c.pick("ADD", "ADD", "SUB"), inputs, [output(c, out, qo)], activation=activation(c, qo))


def sixteen_mul(c: OpCases) -> None:
    """MUL of any two ranges."""
    a, b, out = c.broadcast_pair(4)
    qa, qb = c.scale(1e-5, 1e-3), c.scale(1e-5, 1e-3)
    qo = float(np.float32(qa * qb * c.ratio(3000, 50_000, largest=1e12)))
    c.builder.op("MUL", [source(c, a, qa), source(c, b, qb)], [output(c, out, qo)], activation=activation(c, qo))


def sixteen_pool(c: OpCases) -> None:
    """AVERAGE_POOL_2D and MAX_POOL_2D, strides over the size of the window too."""
    n, h, w, depth = c.pick(1, 1, 2), *(int(c.rng.integers(1, 10)) for _ in range(3))
    padding = c.pick("SAME", "VALID")
    fh, fw = (int(c.rng.integers(1, 5)) for _ in range(2))
    if padding == "VALID":
        fh, fw = min(fh, h), min(fw, w)
    sh, sw = (int(c.rng.integers(1, 4)) for _ in range(2))
    out = (n, output_size(h, fh, sh, 1, padding), output_size(w, fw, sw, 1, padding), depth)
    scale = c.scale(1e-5, 1e-3)
    options = {"padding": padding, "stride_h": sh, "stride_w": sw, "filter_height": fh, "filter_width": fw}
    kind = c.pick("AVERAGE_POOL_2D", "MAX_POOL_2D")
    c.builder.op(kind, [source(c, (n, h, w, depth), scale)], [output(c, out, scale)], activation=activation(c, scale), **options)


def sixteen_mean(c: OpCases) -> None:
    """MEAN and SUM over any axes."""
    shape = c.shape(1, 4, 7)
    rank = len(shape)
    axes = [int(a) for a in c.rng.permutation(rank)[: int(c.rng.integers(1, rank + 1))]]
    keep = c.pick(True, False)
    out = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
    scale = c.scale(1e-5, 1e-3)
    kind, spread = c.pick(("MEAN", 1), ("SUM", 30))
    qo = float(np.float32(scale * c.ratio(0.3 * spread, 3 * spread)))
    c.builder.op(kind, [source(c, shape, scale), c.constant(axes)], [output(c, out, qo)], keep_dims=keep)


def sixteen_unary(c: OpCases) -> None:
    """RELU, RELU6, LOGISTIC and TANH; exact and any other scales."""
    kind = c.pick("RELU", "RELU6", "LOGISTIC", "LOGISTIC", "TANH", "TANH")
    shape = c.shape(1, 4)
    scale = c.scale(*c.pick((1e-5, 1e-3), (1e-5, 1e-3), (1e-7, 2.0)))
    if kind in ("LOGISTIC", "TANH"):
        scale, qo = c.pick(scale, scale, 2.0**-12, 2.0**-11, 2.0**-13), 1 / 32768
    else:
        qo = c.pick(scale, float(np.float32(scale * c.ratio())))
    c.builder.op(kind, [source(c, shape, scale)], [output(c, shape, qo)])


def sixteen_softmax(c: OpCases) -> None:
    """SOFTMAX of rows of 1 to 300 elements."""
    shape = (*c.shape(0, 2), c.pick(1, 2, 10, 12, int(c.rng.integers(1, 300))))
    scale = c.scale(*c.pick((1e-4, 1e-3), (1e-4, 1e-3), (1e-7, 0.1)))
    x = source(c, shape, scale)
    # TFLM's host interpreter takes ten times the file as its arena: room for two tables of 1,026 bytes, and for the tensors.
    c.constant(np.zeros(400 + math.prod(shape)), "int8")
    c.builder.op("SOFTMAX", [x], [output(c, shape, 1 / 32768)], beta=c.pick(1.0, 1.0, 0.5, 3.0))


def sixteen_chain(c: OpCases) -> None:
    """Three to six layers of the scales that trained models have, and sums with an earlier tensor: outputs overlap inputs."""
    shape = (1, int(c.rng.integers(1, 8)), int(c.rng.integers(1, 8)), int(c.rng.integers(1, 14)))
    scale = c.scale(1e-4, 1e-3)
    tensor = source(c, shape, scale)
    older: list[tuple[int, tuple[int, ...], float]] = []
    for _ in range(int(c.rng.integers(3, 7))):
        older.append((tensor, shape, scale))
        tensor, shape, scale = c.pick(_chained_layer, _chained_layer, _chained_layer, _chained_sum)(c, older)
    c.outputs.append(tensor)


def _chained_layer(c: OpCases, older: Sequence[tuple[int, tuple[int, ...], float]]) -> tuple[int, tuple[int, ...], float]:
    tensor, (_, h, w, depth), scale = older[-1]
    depthwise, size, stride = c.pick(True, False), int(c.pick(1, 2, 3, 3)), int(c.pick(1, 1, 1, 2))
    channels = depth if depthwise else int(c.rng.integers(1, 18))
    filters = (1, size, size, channels) if depthwise else (channels, size, size, depth)
    scales = np.exp(c.rng.uniform(np.log(0.002), np.log(0.02), channels)).astype(np.float32)
    weights = c.constant(np.maximum(c.data(filters), -127), "int8", scale=scales, axis=3 if depthwise else 0)
    bias = c.constant(c.rng.integers(-200_000, 200_000, channels), "int64", scale=float(np.float32(scale) * scales[0]))
    out, new_scale = (1, -(-h // stride), -(-w // stride), channels), float(np.float32(scale * scales.max() * 60 * size))
    new = c.builder.tensor(out, "int16", scale=new_scale)
    options = {"padding": "SAME", "stride_h": stride, "stride_w": stride, "activation": c.pick("NONE", "RELU")}
    options |= {"depth_multiplier": 1} if depthwise else {}
    c.builder.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [tensor, weights, bias], [new], **options)
    return new, out, new_scale


def _chained_sum(c: OpCases, older: Sequence[tuple[int, tuple[int, ...], float]]) -> tuple[int, tuple[int, ...], float]:
    tensor, shape, scale = older[-1]
    other, _, other_scale = c.pick(*[one for one in older if one[1] == shape])
    new_scale = float(np.float32(max(scale, other_scale) * c.pick(1.0, 1.7)))
    new = c.builder.tensor(shape, "int16", scale=new_scale)
    c.builder.op(c.pick("ADD", "SUB"), c.pick([tensor, other], [other, tensor]), [new], activation="NONE")
    return new, shape, new_scale


FAMILIES = (
    sixteen_conv,
    sixteen_depthwise,
    sixteen_dense,
    sixteen_sum,
    sixteen_mul,
    sixteen_pool,
    sixteen_mean,
    sixteen_unary,
    sixteen_softmax,
)
