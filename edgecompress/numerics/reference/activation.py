"""RELU, RELU6, LEAKY_RELU, HARD_SWISH, LOGISTIC, TANH, QUANTIZE and SOFTMAX.

All but SOFTMAX map one int8 count to another, whatever its neighbours are: the C side looks them up in a table that these functions fill
(`ec_lookup_s8`). SOFTMAX looks up exp(beta * scale * (x - max)) and divides by the sum (`ec_softmax_s8`).

Source: tensorflow/lite/micro/kernels/{activations,leaky_relu,hard_swish,logistic,softmax,quantize}_common.cc and tanh.cc, and the reference
kernels that they call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError
from edgecompress.graph import DType, Graph, LeakyReluOptions, Op, SoftmaxOptions, Tensor
from edgecompress.numerics import fixedmath
from edgecompress.numerics.affine import INT8_MAX, INT8_MIN, Clamp, count_of, round_half_away
from edgecompress.numerics.fixedpoint import FixedScale, multiply_by_scale, quantize_multiplier
from edgecompress.numerics.reference.oracle import NUMPY_TYPES, Array, Oracle, Values, no_oracle, require_quantized, tensors_of

Int8 = NDArray[np.int8]
Int8Map = Callable[[Int8], Int8]

# Integer bits of the fixed-point numbers that logistic, tanh and softmax compute with.
_LOGISTIC_BITS = 4
_SOFTMAX_BITS = 5
_SUM_BITS = 12
SOFTMAX_MAX_DEPTH = (1 << _SUM_BITS) - 1


def requantize_counts(x: Array, scale: FixedScale, in_zero: int, out_zero: int, dtype: DType) -> Array:
    """Counts of one quantization as counts of another, saturated to an integer type; same shape."""
    limits: np.iinfo[Any] = np.iinfo(NUMPY_TYPES[dtype])
    centered = _wrap(x.astype(np.int64) - in_zero)
    moved = _wrap(multiply_by_scale(centered, scale.multiplier, scale.shift).astype(np.int64) + out_zero)
    return np.clip(moved, limits.min, limits.max).astype(NUMPY_TYPES[dtype])


def _wrap(x: NDArray[np.int64]) -> NDArray[np.int32]:
    return x.astype(np.uint32).astype(np.int32)


def relu_clamp(out: Tensor) -> Clamp:
    """What RELU leaves of the output's counts."""
    return Clamp(max(INT8_MIN, out.zero_point), INT8_MAX)


def relu6_clamp(x: Tensor) -> Clamp:
    """What RELU6 leaves of the input's counts: it does not look at the output's quantization."""
    return Clamp(x.zero_point, min(INT8_MAX, count_of(6.0, x.scale, x.zero_point)))


def relu_scale(x: Tensor, out: Tensor) -> FixedScale:
    """Scale of RELU, whose quotient TFLM computes in float32."""
    return quantize_multiplier(_float32_quotient(x.scale, out.scale))


def _float32_quotient(a: float | np.float32, b: float | np.float32) -> float:
    """a / b in float32; infinite beyond it, which `quantize_multiplier` refuses."""
    with np.errstate(over="ignore"):
        return float(np.float32(a) / np.float32(b))


def relu(x: Int8, tensor: Tensor, out: Tensor) -> Int8:
    """max(x, 0) in the output's quantization; `tensor` is the input's."""
    moved = requantize_counts(x, relu_scale(tensor, out), tensor.zero_point, out.zero_point, DType.INT32)
    clamp = relu_clamp(out)
    return np.clip(moved, clamp.low, clamp.high).astype(np.int8)


def relu6(x: Int8, tensor: Tensor) -> Int8:
    """min(max(x, 0), 6); `tensor` is the input's."""
    clamp = relu6_clamp(tensor)
    return np.clip(x, clamp.low, clamp.high).astype(np.int8)


def leaky_relu(x: Int8, alpha: float, tensor: Tensor, out: Tensor) -> Int8:
    """x where it is not below 0, else alpha * x; alpha may be negative. `tensor` is the input's."""
    kept = quantize_multiplier(_float32_quotient(tensor.scale, out.scale))
    bent = quantize_multiplier(_float32_quotient(np.float32(tensor.scale) * np.float32(alpha), out.scale))
    value = x.astype(np.int32) - tensor.zero_point
    # The multiplier is kept positive: the roundings of a negative one would differ.
    slope = np.sign(bent.multiplier) * multiply_by_scale(value, abs(bent.multiplier), bent.shift)
    scaled = np.where(value >= 0, multiply_by_scale(value, kept.multiplier, kept.shift), slope)
    return np.clip(_wrap(scaled.astype(np.int64) + out.zero_point), INT8_MIN, INT8_MAX).astype(np.int8)


def hard_swish(x: Int8, tensor: Tensor, out: Tensor) -> Int8:
    """x * relu6(x + 3) / 6 in 16-bit fixed point; `tensor` is the input's.

    Raises:
        ModelError: the scales are so far apart that TFLM refuses them, or shifts 16-bit numbers by more than 15.
    """
    hires_scale = np.float32(1 / 128) * np.float32(tensor.scale)
    out_scale = quantize_multiplier(_float32_quotient(hires_scale, out.scale))
    relu_like = quantize_multiplier(_float32_quotient(hires_scale, np.float32(3) / np.float32(32768)))
    # 16-bit numbers cannot be shifted right by more; to the left TFLM refuses.
    if not -15 <= out_scale.shift <= 0 or relu_like.shift < -15:
        raise ModelError(
            f"HARD_SWISH from scale {tensor.scale:g} to {out.scale:g}: expected the output's scale in [1/128, 128] of the input's",
            hint="calibrate the model again",
        )
    value = (x.astype(np.int64) - tensor.zero_point) << 7
    before_shift = _high_mul_16(value, _multiplier_16(out_scale))
    gate = value
    if relu_like.shift > 0:
        gate = _shift_left_16(gate, relu_like.shift - 1)
    gate = _high_mul_16(gate, _multiplier_16(relu_like))
    gate = _shift_left_16(gate, 1) if relu_like.shift > 0 else fixedmath.shift_right(gate, -relu_like.shift)
    # From [-1, 1] to [0, 1]; then a product rounded towards zero.
    gate = (gate + (1 << 15)) >> 1
    product = gate * before_shift
    result = np.where(product < 0, -(-product >> 15), product >> 15)
    scaled = fixedmath.shift_right(result, -out_scale.shift)
    return np.clip(scaled + out.zero_point, INT8_MIN, INT8_MAX).astype(np.int8)


def _multiplier_16(scale: FixedScale) -> int:
    return min((scale.multiplier + (1 << 15)) >> 16, 32767)


def _high_mul_16(a: NDArray[np.int64], b: int) -> NDArray[np.int64]:
    result: NDArray[np.int64] = np.minimum((a * b + (1 << 14)) >> 15, 32767)
    return result


def _shift_left_16(a: NDArray[np.int64], amount: int) -> NDArray[np.int64]:
    result: NDArray[np.int64] = np.clip(a << amount, -32768, 32767)
    return result


def logistic(x: Int8, tensor: Tensor) -> Int8:
    """1 / (1 + exp(-x)) with output scale 1/256 and zero point -128; `tensor` is the input's.

    Raises:
        ModelError: the input's scale is below 2**-28.
    """
    value, saturated, inside = _in_q4(x, tensor)
    curve = fixedmath.shift_right(fixedmath.logistic(inside, _LOGISTIC_BITS), 23) - 128
    return np.where(saturated, np.where(value < 0, INT8_MIN, INT8_MAX), np.clip(curve, INT8_MIN, INT8_MAX)).astype(np.int8)


def tanh(x: Int8, tensor: Tensor) -> Int8:
    """tanh(x) with output scale 1/128 and zero point 0; `tensor` is the input's.

    Raises:
        ModelError: the input's scale is below 2**-28.
    """
    value, saturated, inside = _in_q4(x, tensor)
    curve = fixedmath.shift_right(fixedmath.tanh(inside, _LOGISTIC_BITS), 24)
    return np.where(saturated, np.where(value < 0, INT8_MIN, INT8_MAX), np.clip(curve, INT8_MIN, INT8_MAX)).astype(np.int8)


def _in_q4(x: Int8, tensor: Tensor) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int64]]:
    """x - zero_point, where that is beyond about 15 on either side, and the rest in Q4."""
    fraction, left_shift = math.frexp(tensor.scale * (1 << (31 - _LOGISTIC_BITS)))
    multiplier = round_half_away(fraction * (1 << 31))
    if left_shift < 0 or multiplier == 1 << 31:
        raise ModelError(f"expected a scale of {tensor.name} above 2**-28, came {tensor.scale:g}", hint="calibrate the model again")
    radius = ((1 << _LOGISTIC_BITS) - 1 << 31 - _LOGISTIC_BITS) >> left_shift
    value = x.astype(np.int32) - tensor.zero_point
    # A radius of 0 saturates 0 downwards, as TFLM's order of comparisons does.
    saturated = np.abs(value) >= radius
    value = np.where(value == 0, np.int32(-(radius == 0)), value).astype(np.int32)
    inside = np.where(saturated, 0, value)
    return value, saturated, multiply_by_scale(inside, multiplier, left_shift).astype(np.int64)


def softmax_exponentials(beta: float, scale: float) -> NDArray[np.int32]:
    """exp(-d * scale * beta) in Q0 for d = 0, 1, ...: every entry that can change a sum or an output, at least one, at most 256.

    Raises:
        ModelError: the scale is so small that TFLM would abort.
    """
    real = min(beta * scale * (1 << (31 - _SOFTMAX_BITS)), float((1 << 31) - 1))
    if not real > 1:
        raise ModelError(f"expected scale * beta above 2**-26, came {beta * scale:g}", hint="calibrate the model again")
    fixed = _fixed_up_to_31(real)
    reach = ((1 << _SOFTMAX_BITS) - 1 << 31 - _SOFTMAX_BITS) >> fixed.shift
    differences = -np.arange(min(reach, 255) + 1, dtype=np.int64)
    scaled = fixedmath.multiply(differences << fixed.shift, fixed.multiplier)
    table = fixedmath.exp_of_negative(scaled, _SOFTMAX_BITS)
    # Below 2**11 an entry rounds to 0 in the sum (19 fraction bits) and in every output.
    useful = int(np.count_nonzero(table >= 1 << 11))
    return table[:useful].astype(np.int32)


def _fixed_up_to_31(real: float) -> FixedScale:
    """As `quantize_multiplier`, for real in (1, 2**31): the shift may be 31, which no kernel shifts by."""
    fraction, shift = math.frexp(real)
    multiplier = round_half_away(fraction * (1 << 31))
    return FixedScale(multiplier // 2, shift + 1) if multiplier == 1 << 31 else FixedScale(multiplier, shift)


def softmax(x: Int8, exponentials: NDArray[np.int32], dtype: DType = DType.INT8) -> NDArray[np.int8] | NDArray[np.int16]:
    """Softmax along the last axis; output scale 1/256 (int8) or 1/65536 (int16), zero point at the bottom of the range.

    Args:
        x: [..., depth], depth at most SOFTMAX_MAX_DEPTH.
        exponentials: from `softmax_exponentials`.
        dtype: INT8 or INT16, of the output.
    """
    bits = dtype.bits
    difference = x.max(axis=-1, keepdims=True).astype(np.int64) - x
    table = np.append(exponentials.astype(np.int64), 0)
    terms = table[np.minimum(difference, len(exponentials))]
    total = fixedmath.shift_right(terms, _SUM_BITS).sum(axis=-1, keepdims=True)
    # total = mantissa * 2**over_unit with mantissa in [1, 2): 19 fraction bits.
    over_unit = np.frexp(total.astype(np.float64))[1].astype(np.int64) - (31 - _SUM_BITS) - 1
    mantissa_minus_one = (total << (_SUM_BITS - over_unit)) - (1 << 31)
    reciprocal = fixedmath.one_over_one_plus(mantissa_minus_one)
    exponent = over_unit + 31 - bits
    product = fixedmath.multiply(reciprocal, terms)
    rounded = (product + (np.int64(1) << (exponent - 1))) >> exponent
    low = -(1 << (bits - 1))
    counts: NDArray[np.int8] | NDArray[np.int16] = np.clip(rounded + low, low, -low - 1).astype(NUMPY_TYPES[dtype])
    return counts


def _int8_pair(graph: Graph, op: Op) -> tuple[Tensor, Tensor]:
    x, out = tensors_of(graph, op, 1)
    require_quantized(graph, op, (x, out), DType.INT8)
    return x, out


def evaluate_relu(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, out = _int8_pair(graph, op)
    return (relu(values[0], x, out),)


def evaluate_relu6(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _ = _int8_pair(graph, op)
    return (relu6(values[0], x),)


def evaluate_leaky_relu(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, out = _int8_pair(graph, op)
    if not isinstance(op.options, LeakyReluOptions):
        raise no_oracle(graph, op, "the slope is missing")
    return (leaky_relu(values[0], op.options.alpha, x, out),)


def evaluate_hard_swish(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, out = _int8_pair(graph, op)
    return (hard_swish(values[0], x, out),)


def evaluate_logistic(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _ = _int8_pair(graph, op)
    return (logistic(values[0], x),)


def evaluate_tanh(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _ = _int8_pair(graph, op)
    return (tanh(values[0], x),)


def evaluate_quantize(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, out = tensors_of(graph, op, 1)
    integers = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32)
    require_quantized(graph, op, (x, out), *integers)
    scale = quantize_multiplier(x.scale / out.scale)
    return (requantize_counts(values[0], scale, x.zero_point, out.zero_point, out.dtype),)


def evaluate_softmax(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, out = tensors_of(graph, op, 1)
    require_quantized(graph, op, (x,), DType.INT8)
    require_quantized(graph, op, (out,), DType.INT8, DType.INT16)
    beta = op.options.beta if isinstance(op.options, SoftmaxOptions) else 1.0
    return (softmax(values[0], softmax_exponentials(beta, x.scale), out.dtype),)


REFERENCE: dict[str, Oracle] = {
    "RELU": evaluate_relu,
    "RELU6": evaluate_relu6,
    "LEAKY_RELU": evaluate_leaky_relu,
    "HARD_SWISH": evaluate_hard_swish,
    "LOGISTIC": evaluate_logistic,
    "TANH": evaluate_tanh,
    "QUANTIZE": evaluate_quantize,
    "SOFTMAX": evaluate_softmax,
}
