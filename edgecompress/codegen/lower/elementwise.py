"""ADD, SUB, MUL, PRELU, MAXIMUM and MINIMUM as calls of ec_elementwise.h.

ADD and SUB are one kernel: its input `a` is the one with the larger scale, and signs tell which is subtracted.
"""

from __future__ import annotations

import numpy as np

from edgecompress.codegen.lower.loops import broadcast_strides, fill_loops, merge_loops
from edgecompress.codegen.lower.rules import Lowering, fused_clamp, input_tensor, output_tensor, require_int8, unsupported
from edgecompress.codegen.program import Argument, Field, LiteralArg, Names, Overlap, ParamsArg, Step, TensorArg
from edgecompress.graph import Activation, ArithmeticOptions, Graph, Op, Tensor
from edgecompress.numerics.affine import Clamp
from edgecompress.numerics.fixedpoint import FixedScale
from edgecompress.numerics.reference.elementwise import ADD_LEFT_SHIFT, AddScales, add_scales, mul_scale, rescale, sub_scales

BROADCAST_RANK = 5
"""EC_BROADCAST_RANK of ec_elementwise.h."""


def lower_add(graph: Graph, op: Op, names: Names) -> Step:
    """Any shapes that broadcast within five merged dimensions.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    a, b, out = _operands(graph, op)
    return _sum_step(graph, op, a, b, out, add_scales(a, b, out), sign=1)


def lower_sub(graph: Graph, op: Op, names: Names) -> Step:
    """As `lower_add`.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    a, b, out = _operands(graph, op)
    return _sum_step(graph, op, a, b, out, sub_scales(a, b, out), sign=-1)


def lower_mul(graph: Graph, op: Op, names: Names) -> Step:
    """Any shapes that broadcast within five merged dimensions.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    a, b, out = _operands(graph, op)
    params: dict[str, Field] = {
        "a_zero_point": a.zero_point,
        "b_zero_point": b.zero_point,
        "scale": scale_fields(mul_scale(a, b, out)),
        "out_zero_point": out.zero_point,
        **_clamp_fields(_clamp(graph, op, out)),
    }
    return _step(graph, op, "ec_mul", ParamsArg("ec_mul_params", params), a, b, out)


def lower_prelu(graph: Graph, op: Op, names: Names) -> Step:
    """Slopes that broadcast to the input.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    x, slope, out = _operands(graph, op)
    if x.shape != out.shape:
        raise unsupported(graph, op, f"expected slopes that broadcast to {x.shape}, came {slope.shape}")
    params: dict[str, Field] = {
        "a_zero_point": x.zero_point,
        "slope_zero_point": slope.zero_point,
        "positive": scale_fields(rescale(x, out)),
        "negative": scale_fields(mul_scale(x, slope, out)),
        "out_zero_point": out.zero_point,
    }
    head = (ParamsArg("ec_prelu_params", params), broadcast_argument(graph, op, x, slope, out))
    return _call(op, "ec_prelu_s8", head, (x, slope), (), out)


def lower_maximum(graph: Graph, op: Op, names: Names) -> Step:
    """Of counts, whatever they stand for.

    Raises:
        UnsupportedOpError: a type or shape that the kernel does not take.
    """
    a, b, out = _operands(graph, op)
    return _call(op, "ec_maximum_s8", (broadcast_argument(graph, op, a, b, out),), (a, b), (), out)


def lower_minimum(graph: Graph, op: Op, names: Names) -> Step:
    """Of counts, whatever they stand for.

    Raises:
        UnsupportedOpError: a type or shape that the kernel does not take.
    """
    a, b, out = _operands(graph, op)
    return _call(op, "ec_minimum_s8", (broadcast_argument(graph, op, a, b, out),), (a, b), (), out)


def scale_fields(scale: FixedScale) -> dict[str, Field]:
    """An `ec_scale`."""
    return {"multiplier": scale.multiplier, "shift": scale.shift}


def _operands(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor]:
    a, b, out = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    require_int8(graph, op, a, b, out)
    for tensor in (a, b):
        if tensor.quantization is not None and tensor.quantization.per_channel:
            raise unsupported(graph, op, f"expected one scale for {tensor.name}, came one a channel")
    return a, b, out


def _sum_step(graph: Graph, op: Op, a: Tensor, b: Tensor, out: Tensor, scales: AddScales, sign: int) -> Step:
    exact, other, other_scale, exact_sign, other_sign = a, b, scales.b, 1, sign
    if b.scale > a.scale:
        exact, other, other_scale, exact_sign, other_sign = b, a, scales.a, sign, 1
    if scales.out.multiplier and scales.out.shift == 0:
        raise unsupported(graph, op, f"the scale of {out.name} is less than 2**-18 of its inputs'", "calibrate the model again")
    # Equal scales: exactly 1/2, which is written as 1/4 of twice as much, because the kernel always shifts to the right.
    doubled = int(other_scale.multiplier != 0 and other_scale.shift == 0)
    exact_weight = exact_sign << ADD_LEFT_SHIFT
    other_weight = 1 << (ADD_LEFT_SHIFT + 1 + doubled)
    params: dict[str, Field] = {
        "a_weight": exact_weight,
        "a_offset": -exact_weight * exact.zero_point,
        "b_weight": other_weight,
        "b_offset": -other_weight * other.zero_point,
        "b_sign": 2 * other_sign,
        "b_scale": scale_fields(_right_shift(other_scale)),
        "out_scale": scale_fields(_right_shift(scales.out)),
        "out_zero_point": out.zero_point,
        **_clamp_fields(_clamp(graph, op, out)),
    }
    return _step(graph, op, "ec_add", ParamsArg("ec_add_params", params), exact, other, out)


def _right_shift(scale: FixedScale) -> FixedScale:
    return FixedScale(scale.multiplier, min(scale.shift, -1))


def _clamp(graph: Graph, op: Op, out: Tensor) -> Clamp:
    activation = op.options.activation if isinstance(op.options, ArithmeticOptions) else Activation.NONE
    return fused_clamp(graph, op, activation, out)


def _clamp_fields(clamp: Clamp) -> dict[str, Field]:
    return {"out_min": clamp.low, "out_max": clamp.high}


def _step(graph: Graph, op: Op, stem: str, params: ParamsArg, a: Tensor, b: Tensor, out: Tensor) -> Step:
    """The call for tensors of one shape, or that for tensors that broadcast."""
    shape = broadcast_argument(graph, op, a, b, out)
    if a.elements == b.elements == out.elements:
        return _call(op, f"{stem}_s8", (params,), (a, b), (LiteralArg(out.elements),), out)
    return _call(op, f"{stem}_broadcast_s8", (params, shape), (a, b), (), out)


def broadcast_argument(graph: Graph, op: Op, a: Tensor, b: Tensor, out: Tensor) -> ParamsArg:
    """The `ec_broadcast` of two inputs.

    Raises:
        UnsupportedOpError: shapes that do not broadcast to the output's, or along too many dimensions.
    """
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError as e:
        raise unsupported(graph, op, f"expected shapes that broadcast, came {a.shape} and {b.shape}") from e
    if shape != out.shape:
        raise unsupported(graph, op, f"expected an output of shape {shape}, came {out.shape}")
    loops = merge_loops(out.shape, broadcast_strides(a.shape, out.shape), broadcast_strides(b.shape, out.shape))
    if len(loops) > BROADCAST_RANK:
        raise unsupported(graph, op, f"{a.shape} and {b.shape} broadcast along more than {BROADCAST_RANK} dimensions")
    filled = fill_loops(loops, BROADCAST_RANK, 2)
    return ParamsArg(
        "ec_broadcast",
        {
            "extents": tuple(loop.extent for loop in filled),
            "a_strides": tuple(loop.strides[0] for loop in filled),
            "b_strides": tuple(loop.strides[1] for loop in filled),
        },
    )


def _call(
    op: Op, function: str, head: tuple[Argument, ...], inputs: tuple[Tensor, Tensor], tail: tuple[Argument, ...], out: Tensor
) -> Step:
    arguments = (*head, *(TensorArg(t.index) for t in inputs), *tail, TensorArg(out.index))
    reads = tuple(dict.fromkeys(t.index for t in inputs if not t.is_constant))
    # Each element of an input with the output's shape is read once, before its position is written.
    overlaps = tuple(Overlap(t.index, out.index) for t in dict.fromkeys(inputs) if t.index in reads and t.shape == out.shape)
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,), overlaps=overlaps)


def is_plain_sum(step: Step) -> bool:
    """Whether a step adds two tensors of one shape: no difference, and nothing is repeated."""
    params = step.arguments[0]
    if step.function != "ec_add_s8" or not isinstance(params, ParamsArg):
        return False
    return all(isinstance(sign, int) and sign > 0 for sign in (params.fields["a_weight"], params.fields["b_sign"]))


LOWER: dict[str, Lowering] = {
    "ADD": lower_add,
    "SUB": lower_sub,
    "MUL": lower_mul,
    "PRELU": lower_prelu,
    "MAXIMUM": lower_maximum,
    "MINIMUM": lower_minimum,
}
