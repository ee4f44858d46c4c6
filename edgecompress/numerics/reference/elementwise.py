"""ADD, SUB, MUL, PRELU, MAXIMUM and MINIMUM on int8, shapes broadcast as numpy does.

ADD and SUB bring both inputs to half of the larger scale with 20 more bits, so that one of them is exact:

    out = zp + out_scale * (a_scale * ((a - a_zp) << 20) +- b_scale * ((b - b_zp) << 20))

The C twins are in firmware/kernels/portable/ec_add_s8.c, ec_mul_s8.c, ec_prelu_s8.c, ec_maximum_s8.c and ec_minimum_s8.c. Source:
tensorflow/lite/micro/kernels/{add,sub,mul,prelu}_common.cc and the reference kernels that they call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError
from edgecompress.graph import Activation, ArithmeticOptions, DType, Graph, Op, Tensor
from edgecompress.numerics.affine import INT8_RANGE, Clamp, activation_clamp
from edgecompress.numerics.fixedpoint import FixedScale, multiply_by_scale, quantize_multiplier, requantize
from edgecompress.numerics.reference.oracle import Array, Oracle, Values, require_quantized, tensors_of

Int8 = NDArray[np.int8]

ADD_LEFT_SHIFT = 20


@dataclass(frozen=True)
class AddScales:
    """Fixed-point scales of ADD and SUB: `a` and `b` in (0, 1/2], `out` in (0, 1)."""

    a: FixedScale
    b: FixedScale
    out: FixedScale


def add_scales(a: Tensor, b: Tensor, out: Tensor, left_shift: int = ADD_LEFT_SHIFT) -> AddScales:
    """Scales of ADD, in float64; inputs get `left_shift` more bits.

    Raises:
        ModelError: the output's scale is so small that TFLM would abort.
    """
    twice = 2 * max(a.scale, b.scale)
    return _sum_scales(a.scale / twice, b.scale / twice, twice / ((1 << left_shift) * out.scale), out, left_shift)


def sub_scales(a: Tensor, b: Tensor, out: Tensor, left_shift: int = ADD_LEFT_SHIFT) -> AddScales:
    """Scales of SUB, which TFLM computes in float32.

    Raises:
        ModelError: the output's scale is so small that TFLM would abort.
    """
    one, two = np.float32(a.scale), np.float32(b.scale)
    # Scales near the end of float32 become infinite, which is then refused.
    with np.errstate(over="ignore", invalid="ignore"):
        twice = np.float32(2) * max(one, two)
        out_real = twice / (np.float32(1 << left_shift) * np.float32(out.scale))
    return _sum_scales(float(one / twice), float(two / twice), float(out_real), out, left_shift)


def _sum_scales(a: float, b: float, out: float, tensor: Tensor, left_shift: int) -> AddScales:
    if not 0 < out < 1:
        raise ModelError(
            f"scale of {tensor.name} is {tensor.scale:g}: expected more than 2**-{left_shift - 1} of the larger input scale",
            hint="calibrate the model with samples that reach this layer",
        )
    return AddScales(quantize_multiplier(a), quantize_multiplier(b), quantize_multiplier(out))


def add(a: Int8, b: Int8, scales: AddScales, zero_points: tuple[int, int, int], clamp: Clamp = INT8_RANGE) -> Int8:
    """`a + b`; zero points of a, b and the output in int8 counts. Shapes broadcast."""
    left, right = _on_half_scale(a, b, scales, zero_points)
    return requantize(left + right, [scales.out], zero_points[2], *clamp)


def sub(a: Int8, b: Int8, scales: AddScales, zero_points: tuple[int, int, int], clamp: Clamp = INT8_RANGE) -> Int8:
    """`a - b`; zero points of a, b and the output in int8 counts. Shapes broadcast."""
    left, right = _on_half_scale(a, b, scales, zero_points)
    return requantize(left - right, [scales.out], zero_points[2], *clamp)


def _on_half_scale(a: Int8, b: Int8, scales: AddScales, zero_points: tuple[int, int, int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    left = (a.astype(np.int32) - zero_points[0]) << ADD_LEFT_SHIFT
    right = (b.astype(np.int32) - zero_points[1]) << ADD_LEFT_SHIFT
    return multiply_by_scale(left, scales.a.multiplier, scales.a.shift), multiply_by_scale(right, scales.b.multiplier, scales.b.shift)


def mul_scale(a: Tensor, b: Tensor, out: Tensor) -> FixedScale:
    """Scale of the product of two int8 tensors; of an input and its slope in PRELU."""
    return quantize_multiplier(a.scale * b.scale / out.scale)


def rescale(source: Tensor, out: Tensor) -> FixedScale:
    """Scale that brings counts of `source` to counts of `out`."""
    return quantize_multiplier(source.scale / out.scale)


def mul(a: Int8, b: Int8, scale: FixedScale, zero_points: tuple[int, int, int], clamp: Clamp = INT8_RANGE) -> Int8:
    """`a * b`; zero points of a, b and the output in int8 counts. Shapes broadcast."""
    a_zero, b_zero, out_zero = zero_points
    product = (a.astype(np.int32) - a_zero) * (b.astype(np.int32) - b_zero)
    return requantize(product, [scale], out_zero, *clamp)


def prelu(x: Int8, slope: Int8, positive: FixedScale, negative: FixedScale, zero_points: tuple[int, int, int]) -> Int8:
    """`x` where it is not below 0, else `x * slope`; zero points of x, slope and the output. Shapes broadcast."""
    x_zero, slope_zero, out_zero = zero_points
    value = x.astype(np.int32) - x_zero
    product = value * (slope.astype(np.int32) - slope_zero)
    return np.where(value >= 0, requantize(value, [positive], out_zero), requantize(product, [negative], out_zero))


def _zero_points(*tensors: Tensor) -> tuple[int, int, int]:
    a, b, out = tensors
    return a.zero_point, b.zero_point, out.zero_point


def _clamp(op: Op, out: Tensor) -> Clamp:
    activation = op.options.activation if isinstance(op.options, ArithmeticOptions) else Activation.NONE
    return activation_clamp(activation, out.scale, out.zero_point)


def _int8_tensors(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor]:
    a, b, out = tensors_of(graph, op, 2)
    require_quantized(graph, op, (a, b, out), DType.INT8)
    return a, b, out


def evaluate_add(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    a, b, out = _int8_tensors(graph, op)
    return (add(values[0], values[1], add_scales(a, b, out), _zero_points(a, b, out), _clamp(op, out)),)


def evaluate_sub(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    a, b, out = _int8_tensors(graph, op)
    return (sub(values[0], values[1], sub_scales(a, b, out), _zero_points(a, b, out), _clamp(op, out)),)


def evaluate_mul(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    a, b, out = _int8_tensors(graph, op)
    return (mul(values[0], values[1], mul_scale(a, b, out), _zero_points(a, b, out), _clamp(op, out)),)


def evaluate_prelu(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, slope, out = _int8_tensors(graph, op)
    return (prelu(values[0], values[1], rescale(x, out), mul_scale(x, slope, out), _zero_points(x, slope, out)),)


def evaluate_maximum(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    return (np.maximum(values[0], values[1]),)


def evaluate_minimum(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    return (np.minimum(values[0], values[1]),)


REFERENCE: dict[str, Oracle] = {
    "ADD": evaluate_add,
    "SUB": evaluate_sub,
    "MUL": evaluate_mul,
    "PRELU": evaluate_prelu,
    "MAXIMUM": evaluate_maximum,
    "MINIMUM": evaluate_minimum,
}
