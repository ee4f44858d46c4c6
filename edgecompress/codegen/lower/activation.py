"""RELU, RELU6, LEAKY_RELU, HARD_SWISH, LOGISTIC, TANH, QUANTIZE and SOFTMAX as calls of ec_activation.h.

What maps one 8-bit count to another becomes a table of 256 bytes, filled by the numpy oracle; where it is a clamp it is a clamp, and where
it changes nothing it is another name for its input.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgecompress.codegen.lower.elementwise import scale_fields
from edgecompress.codegen.lower.rules import Lowering, input_tensor, output_tensor, require_int8, unsupported
from edgecompress.codegen.program import Alias, Constant, ConstantArg, LiteralArg, Names, Overlap, ParamsArg, Step, TensorArg
from edgecompress.graph import DType, Graph, LeakyReluOptions, Op, SoftmaxOptions, Tensor
from edgecompress.numerics.affine import INT8_MAX, INT8_MIN, Clamp
from edgecompress.numerics.fixedpoint import FixedScale, quantize_multiplier
from edgecompress.numerics.reference import activation as oracle
from edgecompress.numerics.reference.oracle import Array

_IDENTITY = FixedScale(1 << 30, 1)
_FLOAT_HINT = "export the model with int8 inputs and outputs (edgecompress compress does)"
_QUANTIZE_KERNELS = {
    (DType.INT8, DType.INT16): "ec_quantize_s8_s16",
    (DType.INT16, DType.INT8): "ec_quantize_s16_s8",
    (DType.INT16, DType.INT16): "ec_quantize_s16",
}
_C_TYPES = {DType.INT8: "int8_t", DType.INT16: "int16_t"}


def lower_relu(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A clamp where the scale and zero point stay, else a table.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    x, out = _int8_pair(graph, op)
    if oracle.relu_scale(x, out) == _IDENTITY and x.zero_point == out.zero_point:
        return _clamp_step(op, x, out, oracle.relu_clamp(out))
    return _lookup_step(op, names, x, out, lambda counts: oracle.relu(counts, x, out))


def lower_relu6(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A clamp: TFLM's RELU6 keeps the counts, whatever the output's quantization says.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    x, out = _int8_pair(graph, op)
    return _clamp_step(op, x, out, oracle.relu6_clamp(x))


def lower_leaky_relu(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A table.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    x, out = _int8_pair(graph, op)
    if not isinstance(op.options, LeakyReluOptions):
        raise unsupported(graph, op, "the slope is missing")
    alpha = op.options.alpha
    return _lookup_step(op, names, x, out, lambda counts: oracle.leaky_relu(counts, alpha, x, out))


def lower_hard_swish(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A table.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    x, out = _int8_pair(graph, op)
    return _lookup_step(op, names, x, out, lambda counts: oracle.hard_swish(counts, x, out))


def lower_logistic(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A table; the output's zero point must be -128, and its scale is taken to be 1/256.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    x, out = _int8_pair(graph, op)
    if out.zero_point != INT8_MIN:
        raise unsupported(graph, op, f"expected an output with zero point -128, came {out.zero_point}")
    return _lookup_step(op, names, x, out, lambda counts: oracle.logistic(counts, x))


def lower_tanh(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A table; the output's scale is taken to be 1/128 and its zero point 0.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    x, out = _int8_pair(graph, op)
    return _lookup_step(op, names, x, out, lambda counts: oracle.tanh(counts, x))


def lower_quantize(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """int8 to int8, and between int8 and uint8: a table; to, from and between int16: arithmetic.

    Raises:
        UnsupportedOpError: float32 (the model's edge must be int8), or types that no kernel takes.
    """
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    if DType.FLOAT32 in (x.dtype, out.dtype):
        raise unsupported(graph, op, f"no kernel from {x.dtype.value} to {out.dtype.value}", _FLOAT_HINT)
    _require_per_tensor(graph, op, x, out)
    scale = quantize_multiplier(x.scale / out.scale)
    if (x.dtype, out.dtype) in ((DType.INT8, DType.INT8), (DType.INT8, DType.UINT8), (DType.UINT8, DType.INT8)):
        return _lookup_step(
            op, names, x, out, lambda counts: oracle.requantize_counts(counts, scale, x.zero_point, out.zero_point, out.dtype)
        )
    function = _QUANTIZE_KERNELS.get((x.dtype, out.dtype))
    if function is None:
        raise unsupported(graph, op, f"no kernel from {x.dtype.value} to {out.dtype.value}")
    params = ParamsArg(
        "ec_quantize_params", {"in_zero_point": x.zero_point, "scale": scale_fields(scale), "out_zero_point": out.zero_point}
    )
    arguments = (params, TensorArg(x.index, _C_TYPES[x.dtype]), LiteralArg(out.elements), TensorArg(out.index, _C_TYPES[out.dtype]))
    reads = () if x.is_constant else (x.index,)
    # From 8 to 16 bits a write would pass the reads.
    overlaps = (Overlap(x.index, out.index),) if reads and x.dtype is DType.INT16 else ()
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,), overlaps=overlaps)


def lower_dequantize(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """No kernel computes floats.

    Raises:
        UnsupportedOpError: always.
    """
    raise unsupported(graph, op, "the aot engine computes no floats", _FLOAT_HINT)


def lower_softmax(graph: Graph, op: Op, names: Names) -> Step:
    """Along the last axis, from int8 to int8 or int16.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    require_int8(graph, op, x)
    _require_per_tensor(graph, op, out)
    expected = {DType.INT8: (1 / 256, INT8_MIN), DType.INT16: (1 / 65536, -32768)}.get(out.dtype)
    # TFLM takes an int16 scale that is off by a thousandth.
    if expected is None or abs(out.scale - expected[0]) > 1e-3 * expected[0] or out.zero_point != expected[1]:
        raise unsupported(
            graph, op, f"expected an int8 output with scale 1/256 and zero point -128, came {out.dtype.value} {out.quantization}"
        )
    if not x.shape or not 1 <= x.shape[-1] <= oracle.SOFTMAX_MAX_DEPTH or x.shape != out.shape:
        raise unsupported(graph, op, f"expected rows of 1 to {oracle.SOFTMAX_MAX_DEPTH} elements, came shape {x.shape}")
    beta = op.options.beta if isinstance(op.options, SoftmaxOptions) else 1.0
    table = oracle.softmax_exponentials(beta, x.scale)
    exponentials = Constant(names.constant("exponentials"), "int32_t", table, "exp(-d * beta * scale), 31 fraction bits")
    params = ParamsArg(
        "ec_softmax_params",
        {"rows": x.elements // x.shape[-1], "depth": x.shape[-1], "entries": len(table), "exponentials": exponentials},
    )
    wide = out.dtype is DType.INT16
    function = "ec_softmax_s8_s16" if wide else "ec_softmax_s8"
    arguments = (params, TensorArg(x.index), TensorArg(out.index, _C_TYPES[out.dtype]))
    reads = () if x.is_constant else (x.index,)
    overlaps = (Overlap(x.index, out.index),) if reads and not wide else ()
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,), overlaps=overlaps)


def _int8_pair(graph: Graph, op: Op) -> tuple[Tensor, Tensor]:
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    require_int8(graph, op, x, out)
    _require_per_tensor(graph, op, x, out)
    return x, out


def _require_per_tensor(graph: Graph, op: Op, *tensors: Tensor) -> None:
    for tensor in tensors:
        if tensor.quantization is None or len(tensor.quantization.scales) != 1:
            raise unsupported(graph, op, f"expected one scale and zero point for {tensor.name}")
    if len({t.elements for t in (*tensors, output_tensor(graph, op))}) != 1:
        raise unsupported(graph, op, f"expected as many elements out as in, came {[t.shape for t in tensors]}")


def _clamp_step(op: Op, x: Tensor, out: Tensor, clamp: Clamp) -> Step | Alias:
    if clamp == Clamp(INT8_MIN, INT8_MAX):
        return Alias(op.index, x.index, out.index)
    tail = (LiteralArg(out.elements), LiteralArg(clamp.low), LiteralArg(clamp.high), TensorArg(out.index))
    return _unary_step(op, "ec_clamp_s8", x, out, (TensorArg(x.index), *tail))


def _lookup_step(op: Op, names: Names, x: Tensor, out: Tensor, function: Callable[[Array], Array]) -> Step | Alias:
    """The table in the order of the counts' bits: 0 to 127, then -128 to -1 (int8) or 128 to 255 (uint8)."""
    counts = np.arange(256).astype(np.uint8).view(np.uint8 if x.dtype is DType.UINT8 else np.int8)
    results = function(counts)
    if np.array_equal(results.view(np.uint8), counts.view(np.uint8)):
        return Alias(op.index, x.index, out.index)
    table = Constant(names.constant("table"), "int8_t", results.view(np.int8), "by the bits of the input's count")
    return _unary_step(op, "ec_lookup_s8", x, out, (TensorArg(x.index), ConstantArg(table), LiteralArg(out.elements), TensorArg(out.index)))


def _unary_step(op: Op, function: str, x: Tensor, out: Tensor, arguments: tuple[TensorArg | ConstantArg | LiteralArg, ...]) -> Step:
    reads = () if x.is_constant else (x.index,)
    overlaps = tuple(Overlap(i, out.index) for i in reads)
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,), overlaps=overlaps)


LOWER: dict[str, Lowering] = {
    "RELU": lower_relu,
    "RELU6": lower_relu6,
    "LEAKY_RELU": lower_leaky_relu,
    "HARD_SWISH": lower_hard_swish,
    "LOGISTIC": lower_logistic,
    "TANH": lower_tanh,
    "QUANTIZE": lower_quantize,
    "DEQUANTIZE": lower_dequantize,
    "SOFTMAX": lower_softmax,
}
