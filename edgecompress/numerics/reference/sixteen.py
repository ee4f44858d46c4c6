"""ADD, SUB, MUL, pools, means, RELU, RELU6, LOGISTIC, TANH and SOFTMAX on int16 with zero point 0.

Sums and products go as those of int8, with 15 more bits instead of 20. LOGISTIC, TANH and SOFTMAX interpolate in tables, which stand here:
the C side gets them as constants. Convolutions and dense layers are in `conv`. C twins: the `_s16` kernels of firmware/kernels/portable.
Source: tensorflow/lite/micro/kernels/{add,sub,mul,pooling,reduce,activations,logistic,softmax}_common.cc, tanh.cc, and the kernels that
they call; LUTPopulate and sigmoid_table_uint16 (tensorflow/lite/kernels/internal/common.h).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError
from edgecompress.graph import Activation, ArithmeticOptions, DType, Graph, Op, PoolOptions, SoftmaxOptions, Tensor
from edgecompress.numerics.affine import INT16_MAX, INT16_MIN, INT16_RANGE, Clamp, activation_clamp, count_of
from edgecompress.numerics.fixedpoint import FixedScale, multiply_by_scale, quantize_multiplier, requantize_int16
from edgecompress.numerics.reference.activation import relu_scale
from edgecompress.numerics.reference.elementwise import AddScales, add_scales, mul_scale, sub_scales
from edgecompress.numerics.reference.oracle import Array, Oracle, Values, no_oracle, require_quantized, tensors_of
from edgecompress.numerics.reference.pool import mean_scale, pool_window, reduced_axes, window_sums, windows_of

Int16 = NDArray[np.int16]
Table = NDArray[np.int32]

ADD_LEFT_SHIFT = 15
_STEPS = 512
# Below this input scale TFLM's loop for a curve's factor ends at 31 halvings; what is smaller yet is 0 at every count.
_MOST_HALVINGS = 31


def sum_of(a: Int16, b: Int16, scales: AddScales, sign: int, clamp: Clamp) -> Int16:
    """`a + sign * b`; shapes broadcast."""
    left = multiply_by_scale(a.astype(np.int32) << ADD_LEFT_SHIFT, scales.a.multiplier, scales.a.shift)
    right = multiply_by_scale(b.astype(np.int32) << ADD_LEFT_SHIFT, scales.b.multiplier, scales.b.shift)
    return requantize_int16(left + sign * right, [scales.out], *clamp)


def relu6_clamp(x: Tensor) -> Clamp:
    """What RELU6 leaves of the input's counts: it does not look at the output's quantization."""
    return Clamp(0, min(INT16_MAX, count_of(6.0, x.scale, 0)))


@dataclass(frozen=True)
class CurveScale:
    """An input count in 1/12288 (LOGISTIC) or 1/24576 (TANH): `(count * factor + half of 2**shift) >> shift`."""

    factor: int
    shift: int


def curve_scale(scale: float, most_exact: int) -> CurveScale:
    """How the tables of LOGISTIC (`most_exact` 0) and TANH (1) are addressed.

    Scales of 2**-12 and, for TANH, 2**-11 are exact; any other gets a factor of 15 bits.

    Raises:
        ModelError: the scale is so large that TFLM's factor has more.
    """
    fraction, exponent = math.frexp(scale)
    power = exponent - 1 + 12
    if fraction == 0.5 and 0 <= power <= most_exact:
        return CurveScale(3 << power, 0)
    real, shift = float(np.float32(scale)) * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2.0 and shift < _MOST_HALVINGS:
        real, shift = real * 2.0, shift + 1
    if real >= 32768.0:
        raise ModelError(f"expected an input scale below 2.6, came {scale:g}", hint="calibrate the model again")
    return CurveScale(int(real), shift)


def sigmoid_table() -> Table:
    """[256] sigmoid(i / 24) with 16 fraction bits, each moved by half of what interpolation would miss in the middle of its interval."""

    def at(x: float) -> float:
        return 65536 / (1 + math.exp(-x / 24))

    values = [math.floor(at(i) + (at(i + 0.5) - (at(i) + at(i + 1)) / 2) / 2 + 0.5) for i in range(255)]
    return np.array([*values, 65535], np.int32)


def _addresses(x: Int16, scale: CurveScale) -> NDArray[np.int64]:
    half = (1 << scale.shift) >> 1
    return (x.astype(np.int64) * scale.factor + half) >> scale.shift


def logistic(x: Int16, scale: CurveScale) -> Int16:
    """1 / (1 + exp(-x)) with scale 1/32768."""
    at = _addresses(x, scale)
    upper = _interpolated(np.abs(at), 9, 0x7FFF << 10)
    result = np.where(at >= 0, upper + (1 << 9), (1 << 25) - upper + (1 << 9) - 1) >> 10
    return result.astype(np.uint16).view(np.int16)


def tanh(x: Int16, scale: CurveScale) -> Int16:
    """tanh(x) = 2 / (1 + exp(-2 x)) - 1 with scale 1/32768."""
    at = _addresses(x, scale)
    upper = _interpolated(np.abs(at), 8, 0xFFFF << 8)
    result = np.where(at >= 0, upper - (1 << 23) + (1 << 7), -upper + (1 << 23) + (1 << 7) - 1) >> 8
    return result.astype(np.uint16).view(np.int16)


def _interpolated(size: NDArray[np.int64], bits: int, beyond: int) -> NDArray[np.int64]:
    """The sigmoid of a size with `bits` fraction bits between entries of the table, times 2**bits; `beyond` from the last entry on."""
    table = sigmoid_table().astype(np.int64)
    index = np.minimum(size >> bits, 254)
    part = size & ((1 << bits) - 1)
    inside = (table[index] << bits) + part * (table[index + 1] - table[index])
    return np.where(size >> bits >= 255, beyond, inside)


def exponential_table() -> Table:
    """[513] exp from -10 to 0, 15 fraction bits."""
    return _table(lambda x: math.exp(x), 10.0, INT16_MAX)


def reciprocal_table() -> Table:
    """[513] 1 / (1 + x) from 0 to 1, 15 fraction bits."""
    return _table(lambda x: 1.0 / (1.0 + x), 1.0, INT16_MIN)


def _table(curve: Callable[[float], float], span: float, zero_point: int) -> Table:
    """513 samples in float32, each moved by half of what interpolation would miss in the middle of its interval."""
    f = np.float32
    scale, out_scale = f(span) / f(65535), f(2) / f(65535)
    low, high = scale * f(INT16_MIN - zero_point), scale * f(INT16_MAX - zero_point)
    step = (high - low) / f(_STEPS)
    gain = f(65536) / (out_scale * f(INT16_MAX) - out_scale * f(INT16_MIN))
    half = step / f(2)

    def at(x: np.float32) -> np.float32:
        return f(curve(float(x)))

    values = []
    for i in range(_STEPS):
        x = low + f(i) * step
        sample = _rounded(at(x) * gain)
        middle = _rounded((at(low + f(i + 1) * step) * gain + sample) / f(2))
        error = middle - _rounded(at(x + half) * gain)
        values.append(sample - _rounded(error / f(2)))
    values.append(_rounded(at(high) * gain))
    return np.clip(np.array(values, np.float64), INT16_MIN, INT16_MAX).astype(np.int32)


def _rounded(x: np.float32) -> np.float32:
    return np.float32(math.copysign(math.floor(abs(float(x)) + 0.5), float(x)))


def softmax_scale(beta: float, scale: float) -> FixedScale:
    """What brings differences of counts to 10/65535."""
    return quantize_multiplier(scale * beta / (10.0 / 65535.0))


def softmax(x: Int16, scale: FixedScale) -> Int16:
    """[..., depth] along the last axis, output scale 1/32768."""
    difference = x.astype(np.int32) - x.max(axis=-1, keepdims=True).astype(np.int32)
    scaled = multiply_by_scale(difference, scale.multiplier, scale.shift).astype(np.int64)
    address = np.clip((scaled + INT16_MAX).astype(np.uint32).astype(np.int32), INT16_MIN, INT16_MAX)
    terms = _looked_up(address.astype(np.int64), exponential_table())
    total = terms.sum(axis=-1, keepdims=True)
    # total = mantissa * 2**(31 - zeros) with mantissa in [1, 2).
    zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    mantissa = ((total << (zeros - 1)) + (1 << 13)) >> 14
    factor = _looked_up(np.clip(mantissa - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX), reciprocal_table())
    down = 31 - zeros
    shares: NDArray[np.int64] = np.clip((terms * factor + (np.int64(1) << (down - 1))) >> down, 0, INT16_MAX)
    return shares.astype(np.int16)


def _looked_up(address: NDArray[np.int64], table: Table) -> NDArray[np.int64]:
    """Between two of 513 entries: 9 bits choose the first one, 7 bits interpolate."""
    wide = table.astype(np.int64)
    index = (address >> 7) + 256
    result: NDArray[np.int64] = wide[index] + (((wide[index + 1] - wide[index]) * (address & 0x7F) + 64) >> 7)
    return result


def require_sixteen(graph: Graph, op: Op, *tensors: Tensor) -> None:
    """int16 with one scale and zero point 0.

    Raises:
        UnsupportedOpError: they are not.
    """
    require_quantized(graph, op, tensors, DType.INT16)
    for tensor in tensors:
        if tensor.zero_point != 0:
            raise no_oracle(graph, op, f"expected zero point 0 for {tensor.name}, came {tensor.zero_point}")


def _operands(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor, Clamp]:
    a, b, out = tensors_of(graph, op, 2)
    require_sixteen(graph, op, a, b, out)
    activation = op.options.activation if isinstance(op.options, ArithmeticOptions) else Activation.NONE
    return a, b, out, activation_clamp(activation, out.scale, 0, INT16_RANGE)


def _pair(graph: Graph, op: Op) -> tuple[Tensor, Tensor]:
    x, out = tensors_of(graph, op, 1)
    require_sixteen(graph, op, x, out)
    return x, out


def evaluate_add(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    a, b, out, clamp = _operands(graph, op)
    return (sum_of(values[0], values[1], add_scales(a, b, out, ADD_LEFT_SHIFT), 1, clamp),)


def evaluate_sub(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    a, b, out, clamp = _operands(graph, op)
    return (sum_of(values[0], values[1], sub_scales(a, b, out, ADD_LEFT_SHIFT), -1, clamp),)


def evaluate_mul(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    a, b, out, clamp = _operands(graph, op)
    product = values[0].astype(np.int32) * values[1].astype(np.int32)
    return (requantize_int16(product, [mul_scale(a, b, out)], *clamp),)


def evaluate_average_pool(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, out, options = _pool(graph, op)
    total, count = window_sums(values[0], pool_window(options, x.shape[1], x.shape[2]))
    quotient = np.sign(total) * ((np.abs(total.astype(np.int64)) + count // 2) // count)
    return (_clamped(quotient, options, out),)


def evaluate_max_pool(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, out, options = _pool(graph, op)
    window = pool_window(options, x.shape[1], x.shape[2])
    return (_clamped(windows_of(values[0], window, INT16_MIN).max(axis=(-2, -1)), options, out),)


def _pool(graph: Graph, op: Op) -> tuple[Tensor, Tensor, PoolOptions]:
    x, out = _pair(graph, op)
    if not isinstance(op.options, PoolOptions):
        raise no_oracle(graph, op, "the options are missing")
    return x, out, op.options


def _clamped(counts: Array, options: PoolOptions, out: Tensor) -> Int16:
    clamp = activation_clamp(options.activation, out.scale, 0, INT16_RANGE)
    bounded: Array = np.minimum(np.maximum(counts, clamp.low), clamp.high)
    return bounded.astype(np.int16)


def evaluate_mean(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, axes, out = _reduction(graph, op, values)
    scale = mean_scale(x.scale / out.scale, math.prod(x.shape[a] for a in axes))
    return (_reduce(values[0], axes, scale).reshape(out.shape),)


def evaluate_sum(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, axes, out = _reduction(graph, op, values)
    return (_reduce(values[0], axes, quantize_multiplier(x.scale / out.scale)).reshape(out.shape),)


def _reduction(graph: Graph, op: Op, values: Values) -> tuple[Tensor, tuple[int, ...], Tensor]:
    x, _, out = tensors_of(graph, op, 2)
    require_sixteen(graph, op, x, out)
    return x, reduced_axes([int(a) for a in values[1].reshape(-1)], len(x.shape)), out


def _reduce(x: Int16, axes: tuple[int, ...], scale: FixedScale) -> Int16:
    total = x.astype(np.int64).sum(axis=axes, keepdims=True)
    return requantize_int16(total.astype(np.uint32).astype(np.int32), [scale])


def evaluate_relu(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, out = _pair(graph, op)
    return (requantize_int16(values[0].astype(np.int32), [relu_scale(x, out)], 0, INT16_MAX),)


def evaluate_relu6(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _ = _pair(graph, op)
    return (np.clip(values[0], *relu6_clamp(x)).astype(np.int16),)


def evaluate_logistic(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _ = _pair(graph, op)
    return (logistic(values[0], curve_scale(x.scale, 0)),)


def evaluate_tanh(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _ = _pair(graph, op)
    return (tanh(values[0], curve_scale(x.scale, 1)),)


def evaluate_softmax(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    x, _ = _pair(graph, op)
    beta = op.options.beta if isinstance(op.options, SoftmaxOptions) else 1.0
    return (softmax(values[0], softmax_scale(beta, x.scale)),)


REFERENCE: dict[str, Oracle] = {
    "ADD": evaluate_add,
    "SUB": evaluate_sub,
    "MUL": evaluate_mul,
    "AVERAGE_POOL_2D": evaluate_average_pool,
    "MAX_POOL_2D": evaluate_max_pool,
    "MEAN": evaluate_mean,
    "SUM": evaluate_sum,
    "RELU": evaluate_relu,
    "RELU6": evaluate_relu6,
    "LOGISTIC": evaluate_logistic,
    "TANH": evaluate_tanh,
    "SOFTMAX": evaluate_softmax,
}
"""Ops whose first input is int16."""
