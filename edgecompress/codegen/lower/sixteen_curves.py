"""RELU, RELU6, LOGISTIC, TANH and SOFTMAX from int16 to int16, zero points 0, as calls of ec_activation.h."""

from __future__ import annotations

import numpy as np

from edgecompress.codegen.lower.elementwise import scale_fields
from edgecompress.codegen.lower.rules import INT16_HINT, Lowering, input_tensor, output_tensor, require_int16, unsupported
from edgecompress.codegen.program import Alias, Argument, Constant, LiteralArg, Names, Overlap, ParamsArg, Step, TensorArg
from edgecompress.graph import Graph, Op, SoftmaxOptions, Tensor
from edgecompress.numerics.affine import INT16_MAX, Clamp
from edgecompress.numerics.fixedpoint import FixedScale
from edgecompress.numerics.reference import sixteen as oracle
from edgecompress.numerics.reference.activation import relu_scale

_IDENTITY = FixedScale(1 << 30, 1)
_UNIT_SCALE = 1 / 32768
# TFLM's tolerance for SOFTMAX; it takes the nearest power of two of the curves' output.
_TOLERANCE = 1e-3
_MOST_DEPTH = 65535


def lower_relu(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A clamp where the scale stays.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    x, out = _pair(graph, op)
    scale = relu_scale(x, out)
    if scale == _IDENTITY:
        return _clamp_step(op, x, out, Clamp(0, INT16_MAX))
    return _step(op, "ec_relu_s16", x, out, (ParamsArg("ec_scale", {"multiplier": scale.multiplier, "shift": scale.shift}),))


def lower_relu6(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """A clamp: TFLM's RELU6 keeps the counts, whatever the output's quantization says.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    x, out = _pair(graph, op)
    return _clamp_step(op, x, out, oracle.relu6_clamp(x))


def lower_logistic(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """The output's scale must be 1/32768.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    return _curve(graph, op, "ec_logistic_s16", most_exact=0, names=names)


def lower_tanh(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """The output's scale must be 1/32768.

    Raises:
        UnsupportedOpError: a type or quantization that the kernel does not take.
    """
    return _curve(graph, op, "ec_tanh_s16", most_exact=1, names=names)


def lower_softmax(graph: Graph, op: Op, names: Names) -> Step | Alias:
    """Along the last axis; the output's scale must be 1/32768.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    x, out = _pair(graph, op)
    _require_unit_scale(graph, op, out)
    if not x.shape or not 1 <= x.shape[-1] <= _MOST_DEPTH or x.shape != out.shape:
        raise unsupported(graph, op, f"expected rows of 1 to {_MOST_DEPTH:,} elements, came shape {x.shape}")
    beta = op.options.beta if isinstance(op.options, SoftmaxOptions) else 1.0
    tables = {
        "exponentials": (oracle.exponential_table(), "exp from -10 to 0, 15 fraction bits"),
        "reciprocals": (oracle.reciprocal_table(), "1 / (1 + x) from 0 to 1, 15 fraction bits"),
    }
    constants = {what: Constant(names.constant(what), "int16_t", table.astype(np.int16), text) for what, (table, text) in tables.items()}
    scale = oracle.softmax_scale(beta, x.scale)
    params = ParamsArg(
        "ec_softmax_s16_params",
        {"rows": x.elements // x.shape[-1], "depth": x.shape[-1], "scale": scale_fields(scale), **constants},
    )
    arguments = (params, TensorArg(x.index, "int16_t"), TensorArg(out.index, "int16_t"))
    return _call(op, "ec_softmax_s16", x, out, arguments)


def _curve(graph: Graph, op: Op, function: str, *, most_exact: int, names: Names) -> Step:
    x, out = _pair(graph, op)
    _require_unit_scale(graph, op, out)
    scale = oracle.curve_scale(x.scale, most_exact)
    table = Constant(names.constant("sigmoid"), "uint16_t", oracle.sigmoid_table().astype(np.uint16), "sigmoid(i / 24), 16 fraction bits")
    return _step(op, function, x, out, (ParamsArg("ec_curve_params", {"factor": scale.factor, "shift": scale.shift, "sigmoid": table}),))


def _pair(graph: Graph, op: Op) -> tuple[Tensor, Tensor]:
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    require_int16(graph, op, x, out)
    if x.elements != out.elements:
        raise unsupported(graph, op, f"expected as many elements out as in, came {x.shape} and {out.shape}")
    return x, out


def _require_unit_scale(graph: Graph, op: Op, out: Tensor) -> None:
    if abs(out.scale - _UNIT_SCALE) > _TOLERANCE * _UNIT_SCALE:
        raise unsupported(graph, op, f"expected an output scale of 1/32768, came {out.scale:g}", INT16_HINT)


def _clamp_step(op: Op, x: Tensor, out: Tensor, clamp: Clamp) -> Step:
    arguments = (
        TensorArg(x.index, "int16_t"),
        LiteralArg(out.elements),
        LiteralArg(clamp.low),
        LiteralArg(clamp.high),
        TensorArg(out.index, "int16_t"),
    )
    return _call(op, "ec_clamp_s16", x, out, arguments)


def _step(op: Op, function: str, x: Tensor, out: Tensor, head: tuple[Argument, ...]) -> Step:
    return _call(op, function, x, out, (*head, TensorArg(x.index, "int16_t"), LiteralArg(out.elements), TensorArg(out.index, "int16_t")))


def _call(op: Op, function: str, x: Tensor, out: Tensor, arguments: tuple[Argument, ...]) -> Step:
    reads = () if x.is_constant else (x.index,)
    overlaps = tuple(Overlap(i, out.index) for i in reads)
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,), overlaps=overlaps)


LOWER: dict[str, Lowering] = {
    "RELU": lower_relu,
    "RELU6": lower_relu6,
    "LOGISTIC": lower_logistic,
    "TANH": lower_tanh,
    "SOFTMAX": lower_softmax,
}
