"""Random layers with as many channels as vectors have lanes and more, and with the scales of trained models."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.conv_families import output_size
from tests.op_cases import OpCases
from tests.op_families import activation


def wide_conv2d(c: OpCases) -> None:
    """Few or many filters of 1x1 to 4x4, also dilated along one side."""
    n, h, w = int(c.pick(1, 1, 2)), *(int(v) for v in c.rng.integers(1, 8, 2))
    depth, filters = int(c.pick(3, 8, 16, 17, 31, 32, 40)), int(c.pick(4, 8, 13, 16, 22))
    kh, kw = int(c.pick(1, 1, 2, 3, 4)), int(c.pick(1, 1, 2, 3, 4))
    sh, sw, dh = int(c.pick(1, 1, 2)), int(c.pick(1, 1, 2)), int(c.pick(1, 1, 1, 2))
    padding = "SAME" if (kh - 1) * dh >= h or kw > w else c.pick("SAME", "VALID")
    q = c.quantization()
    weights, bias, qo = _weights(c, q, (filters, kh, kw, depth), axis=0)
    out = (n, output_size(h, kh, sh, dh, padding), output_size(w, kw, sw, 1, padding), filters)
    options = {"padding": padding, "stride_h": sh, "stride_w": sw, "dilation_h_factor": dh, "dilation_w_factor": 1}
    inputs = [c.input((n, h, w, depth), **q), weights, bias]
    c.builder.op("CONV_2D", inputs, [c.output(out, **qo)], activation=activation(c, qo["scale"]), **options)


def wide_depthwise(c: OpCases) -> None:
    """Filters of 1x1 to 6x6, also dilated, on rows long and short."""
    n, h, w = int(c.pick(1, 1, 2)), int(c.rng.integers(1, 10)), int(c.rng.integers(1, 18))
    depth = int(c.pick(1, 4, 8, 15, 16, 24, 37))
    kh, kw = int(c.pick(1, 2, 3, 3, 3, 5, 6)), int(c.pick(1, 2, 3, 3, 3, 5, 6))
    sh, sw, dh, dw = int(c.pick(1, 1, 2)), int(c.pick(1, 1, 2, 3)), int(c.pick(1, 1, 2)), int(c.pick(1, 1, 1, 2))
    padding = "SAME" if (kh - 1) * dh >= h or (kw - 1) * dw >= w else c.pick("SAME", "VALID")
    q = c.quantization()
    weights, bias, qo = _weights(c, q, (1, kh, kw, depth), axis=3)
    out = (n, output_size(h, kh, sh, dh, padding), output_size(w, kw, sw, dw, padding), depth)
    options = {"padding": padding, "stride_h": sh, "stride_w": sw, "dilation_h_factor": dh, "dilation_w_factor": dw}
    inputs = [c.input((n, h, w, depth), **q), weights, bias]
    clamp = activation(c, qo["scale"])
    c.builder.op("DEPTHWISE_CONV_2D", inputs, [c.output(out, **qo)], activation=clamp, depth_multiplier=1, **options)


def wide_dense(c: OpCases) -> None:
    """One row or a few, outputs and inputs in any number, one scale or one an output."""
    rows, depth, outputs = int(c.pick(1, 1, 3)), int(c.pick(5, 16, 33, 64, 100)), int(c.pick(1, 4, 7, 10, 20))
    q = c.quantization()
    weights, bias, qo = _weights(c, q, (outputs, depth), axis=0)
    inputs = [c.input((rows, depth), **q), weights, bias]
    c.builder.op("FULLY_CONNECTED", inputs, [c.output((rows, outputs), **qo)], activation=activation(c, qo["scale"]))


def wide_add(c: OpCases) -> None:
    """Sums and differences of a few hundred elements to a thousand, by scales that are equal or far apart."""
    shape = (1, int(c.rng.integers(5, 12)), int(c.rng.integers(8, 12)), int(c.rng.integers(10, 13)))
    qa = c.quantization(*c.pick((0.004, 0.3), (1e-4, 20)))
    qb = {"scale": qa["scale"] * c.pick(1.0, 0.5, c.scale(1e-3, 1)), "zero_point": c.zero_point()}
    qo = {"scale": qa["scale"] * c.pick(1.0, c.ratio(smallest=5e-6)), "zero_point": c.zero_point()}
    qa, qb = c.pick((qa, qb), (qb, qa))
    inputs = [c.input(shape, **qa), c.input(shape, **qb)]
    c.builder.op(c.pick("ADD", "ADD", "SUB"), inputs, [c.output(shape, **qo)], activation=activation(c, qo["scale"]))


def _weights(c: OpCases, q: dict[str, Any], shape: tuple[int, ...], axis: int) -> tuple[int, int, dict[str, Any]]:
    """Weights, a bias, and the output's quantization; scales lie within a factor of 6, or of 60."""
    channels = shape[axis]
    scales = np.exp(c.rng.uniform(np.log(0.002), np.log(c.pick(0.012, 0.12)), channels)).astype(np.float32)
    if len(shape) == 2 and c.pick(True, False):
        scales = scales[:1]
    per_channel = {"axis": axis} if len(scales) > 1 else {}
    weights = c.constant(c.data(shape), "int8", scale=scales, **per_channel)
    reach = c.pick(3000, 3000, 100_000)
    bias = c.constant(c.rng.integers(-reach, reach, channels), "int32", scale=float(np.float32(q["scale"]) * scales[0]))
    fan_in = int(np.prod(shape)) // channels
    scale = float(np.float32(q["scale"] * scales.max() * 60 * fan_in**0.5))
    return weights, bias, {"scale": scale, "zero_point": c.zero_point()}
