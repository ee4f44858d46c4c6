"""Layers, sums, products and pools from int16 to int16, zero points 0, as calls of the `_s16` kernels.

Biases have 64 bits, or 32, which the arithmetic depends on (firmware/include/ec_sums_s16.h). Sums of 64 bits must stay below 2**47 and are
scaled with shifts to the left of at most 7: what lies beyond, TFLM does not define.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecompress.codegen.lower.conv import conv_groups, conv_params, depthwise_groups, require_images
from edgecompress.codegen.lower.elementwise import broadcast_argument, scale_fields
from edgecompress.codegen.lower.fully_connected import count_rows
from edgecompress.codegen.lower.pool import constant_axes, pool_step, reduce_step
from edgecompress.codegen.lower.rules import (
    INT16_HINT,
    Lowering,
    fused_clamp,
    input_tensor,
    optional_input,
    output_tensor,
    require_int16,
    unsupported,
)
from edgecompress.codegen.lower.weighted import require_symmetric, scale_argument, weights_argument
from edgecompress.codegen.program import Argument, Constant, ConstantArg, Field, Names, Overlap, ParamsArg, Step, TensorArg
from edgecompress.graph import (
    Activation,
    ArithmeticOptions,
    ConvOptions,
    DepthwiseConvOptions,
    DType,
    FullyConnectedOptions,
    Graph,
    Op,
    Tensor,
)
from edgecompress.numerics.affine import INT8_MIN, INT16_MIN, INT16_RANGE
from edgecompress.numerics.fixedpoint import INT64_MAX_SHIFT, INT64_SUM_LIMIT, FixedScale, quantize_multiplier
from edgecompress.numerics.reference.elementwise import AddScales, add_scales, mul_scale, sub_scales
from edgecompress.numerics.reference.pool import mean_scale, reduced_axes
from edgecompress.numerics.reference.sixteen import ADD_LEFT_SHIFT
from edgecompress.numerics.scales import convolution_scales, dense_scales

_MOST_ELEMENTS = 1 << 15
"""Of a window or a mean: sums of int16 and half of their number stay in int32."""


def lower_conv2d(graph: Graph, op: Op, names: Names) -> Step:
    """Also grouped, dilated, without bias, or with several images.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    source, weights, output = _layer(graph, op, channel_axis=0)
    if not isinstance(op.options, ConvOptions):
        raise unsupported(graph, op, "its options are missing")
    require_images(graph, op, source, weights, output, op.options)
    fields = conv_groups(graph, op, source, weights, output)
    clamp = fused_clamp(graph, op, op.options.activation, output, INT16_RANGE)
    params = ParamsArg("ec_conv_params", conv_params(op.options, source, weights, output, fields, clamp))
    scales = convolution_scales(source, weights, output, output.shape[3])
    bias = _read_bias(graph, op, names, output.shape[3])
    _check_sums(graph, op, weights, bias, scales, channel_axis=0)
    return _step(op, names, "ec_conv2d_s16", params, "o, kh, kw, c", (bias.long, bias.narrow), scales, (source, weights, output))


def lower_depthwise_conv2d(graph: Graph, op: Op, names: Names) -> Step:
    """Also with a depth multiplier, dilated, without bias, or with several images; a bias has 64 bits.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    source, weights, output = _layer(graph, op, channel_axis=3)
    if not isinstance(op.options, DepthwiseConvOptions):
        raise unsupported(graph, op, "its options are missing")
    require_images(graph, op, source, weights, output, op.options)
    fields = depthwise_groups(graph, op, source, weights, output, op.options.depth_multiplier)
    clamp = fused_clamp(graph, op, op.options.activation, output, INT16_RANGE)
    params = ParamsArg("ec_conv_params", conv_params(op.options, source, weights, output, fields, clamp))
    scales = convolution_scales(source, weights, output, output.shape[3])
    bias = _read_bias(graph, op, names, output.shape[3])
    if bias.narrow.constant is not None:
        raise unsupported(graph, op, "expected int64 biases, came int32, which TensorFlow Lite Micro reads as int64 here", INT16_HINT)
    _check_sums(graph, op, weights, bias, scales, channel_axis=3)
    return _step(op, names, "ec_depthwise_conv2d_s16", params, "1, kh, kw, o", (bias.long,), scales, (source, weights, output))


def lower_fully_connected(graph: Graph, op: Op, names: Names) -> Step:
    """With one scale or one per output, several rows, with or without bias; weights may be computed by the model.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    source, weights, output = _layer(graph, op, channel_axis=0)
    options = op.options
    if not isinstance(options, FullyConnectedOptions) or options.shuffled_weights:
        raise unsupported(graph, op, "its options are missing, or its weights are shuffled for a phone kernel")
    rows = count_rows(graph, op, source, weights, output)
    clamp = fused_clamp(graph, op, options.activation, output, INT16_RANGE)
    out_len, in_len = weights.shape
    scales = dense_scales(source, weights, output, out_len)
    params: dict[str, Field] = {
        "batches": rows,
        "in_len": in_len,
        "out_len": out_len,
        "scale_stride": 0 if len(scales) == 1 else 1,
        "out_min": clamp.low,
        "out_max": clamp.high,
    }
    bias = _read_bias(graph, op, names, out_len)
    _check_sums(graph, op, weights, bias, scales, channel_axis=0)
    head = ParamsArg("ec_fc_params", params)
    return _step(op, names, "ec_fully_connected_s16", head, "o, i", (bias.long, bias.narrow), scales, (source, weights, output))


@dataclass(frozen=True, eq=False)
class _Bias:
    """A layer's bias as it stands in the file: of 64 bits, of 32, or none; and the largest size of an entry."""

    long: ConstantArg
    narrow: ConstantArg
    largest: int


def _layer(graph: Graph, op: Op, channel_axis: int) -> tuple[Tensor, Tensor, Tensor]:
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    require_int16(graph, op, source, output)
    if weights.dtype is not DType.INT8:
        raise unsupported(graph, op, f"expected int8 weights beside int16, came {weights.dtype.value} in {weights.name}", INT16_HINT)
    require_symmetric(graph, op, weights, channel_axis)
    return source, weights, output


def _read_bias(graph: Graph, op: Op, names: Names, channels: int) -> _Bias:
    bias = optional_input(graph, op, 2)
    none = ConstantArg(None)
    if bias is None and isinstance(op.options, ConvOptions | FullyConnectedOptions) and op.options.narrow_sums:
        zeros = Constant(names.constant("bias"), "int32_t", np.zeros(channels, np.int32), f"no bias [{channels}]: for sums of 32 bits")
        return _Bias(none, ConstantArg(zeros), 0)
    if bias is None:
        return _Bias(none, none, 0)
    if bias.data is None:
        raise unsupported(graph, op, f"expected a constant bias, came the computed tensor {bias.name}")
    if bias.dtype not in (DType.INT64, DType.INT32) or bias.elements != channels:
        found = f"{bias.elements} of {bias.dtype.value}"
        raise unsupported(graph, op, f"expected {channels} int64 or int32 biases in {bias.name}, came {found}", INT16_HINT)
    values = bias.data.reshape(-1).astype(np.int64)
    largest = max(abs(int(v)) for v in values)
    if bias.dtype is DType.INT64:
        return _Bias(ConstantArg(Constant(names.constant("bias"), "int64_t", values, f"bias [{channels}]")), none, largest)
    return _Bias(none, ConstantArg(Constant(names.constant("bias"), "int32_t", values.astype(np.int32), f"bias [{channels}]")), largest)


def _check_sums(graph: Graph, op: Op, weights: Tensor, bias: _Bias, scales: Sequence[FixedScale], channel_axis: int) -> None:
    """Sums of 64 bits within what the scaling takes. With a bias of 32 bits they wrap, which is defined whatever they are."""
    if bias.narrow.constant is not None:
        return
    others = tuple(axis for axis in range(len(weights.shape)) if axis != channel_axis)
    if weights.data is None:
        largest = weights.elements // max(weights.shape[channel_axis], 1) * -INT8_MIN
    else:
        largest = int(np.abs(weights.data.astype(np.int64)).sum(axis=others).max(initial=0))
    bound = largest * -INT16_MIN + bias.largest
    if bound >= INT64_SUM_LIMIT:
        raise unsupported(graph, op, f"its sums may reach {bound}; expected less than 2**47", "a bias is out of proportion: convert again")
    shift = max(scale.shift for scale in scales)
    if shift > INT64_MAX_SHIFT:
        raise unsupported(graph, op, f"an output scale asks for a shift by {shift}; expected at most {INT64_MAX_SHIFT}", "calibrate again")


def _step(
    op: Op,
    names: Names,
    function: str,
    params: ParamsArg,
    axes: str,
    biases: tuple[ConstantArg, ...],
    scales: Sequence[FixedScale],
    tensors: tuple[Tensor, Tensor, Tensor],
) -> Step:
    source, weights, output = tensors
    arguments: tuple[Argument, ...] = (
        params,
        TensorArg(source.index, "int16_t"),
        weights_argument(names, weights, axes),
        *biases,
        ConstantArg(scale_argument(names, scales)),
        TensorArg(output.index, "int16_t"),
    )
    reads = tuple(t.index for t in (source, weights) if not t.is_constant)
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (output.index,))


def lower_add(graph: Graph, op: Op, names: Names) -> Step:
    """Any shapes that broadcast within five merged dimensions.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    a, b, out = _operands(graph, op)
    return _sum(graph, op, (a, b, out), add_scales(a, b, out, ADD_LEFT_SHIFT), 1)


def lower_sub(graph: Graph, op: Op, names: Names) -> Step:
    """As `lower_add`.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    a, b, out = _operands(graph, op)
    return _sum(graph, op, (a, b, out), sub_scales(a, b, out, ADD_LEFT_SHIFT), -1)


def lower_mul(graph: Graph, op: Op, names: Names) -> Step:
    """Any shapes that broadcast within five merged dimensions.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    a, b, out = _operands(graph, op)
    params: dict[str, Field] = {"scale": scale_fields(mul_scale(a, b, out)), **_clamp_fields(graph, op, out)}
    return _pairwise(graph, op, "ec_mul_s16", ParamsArg("ec_mul_params", params), (a, b, out))


def _operands(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor]:
    a, b, out = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    require_int16(graph, op, a, b, out)
    return a, b, out


def _sum(graph: Graph, op: Op, tensors: tuple[Tensor, Tensor, Tensor], scales: AddScales, sign: int) -> Step:
    params: dict[str, Field] = {
        "a_scale": scale_fields(scales.a),
        "b_scale": scale_fields(scales.b),
        "b_sign": sign,
        "out_scale": scale_fields(scales.out),
        **_clamp_fields(graph, op, tensors[2]),
    }
    return _pairwise(graph, op, "ec_add_s16", ParamsArg("ec_add_s16_params", params), tensors)


def _clamp_fields(graph: Graph, op: Op, out: Tensor) -> dict[str, Field]:
    activation = op.options.activation if isinstance(op.options, ArithmeticOptions) else Activation.NONE
    clamp = fused_clamp(graph, op, activation, out, INT16_RANGE)
    return {"out_min": clamp.low, "out_max": clamp.high}


def _pairwise(graph: Graph, op: Op, function: str, params: ParamsArg, tensors: tuple[Tensor, Tensor, Tensor]) -> Step:
    a, b, out = tensors
    pointers = (TensorArg(t.index, "int16_t") for t in tensors)
    arguments: tuple[Argument, ...] = (params, broadcast_argument(graph, op, a, b, out), *pointers)
    reads = tuple(dict.fromkeys(t.index for t in (a, b) if not t.is_constant))
    # Each element of an input with the output's shape is read once, before its position is written.
    overlaps = tuple(Overlap(t.index, out.index) for t in dict.fromkeys((a, b)) if t.index in reads and t.shape == out.shape)
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (out.index,), overlaps=overlaps)


def lower_average_pool(graph: Graph, op: Op, names: Names) -> Step:
    """One quantization for input and output.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    require_int16(graph, op, input_tensor(graph, op, 0), output_tensor(graph, op))
    return pool_step(graph, op, "ec_average_pool_s16", INT16_RANGE, _MOST_ELEMENTS)


def lower_max_pool(graph: Graph, op: Op, names: Names) -> Step:
    """One quantization for input and output.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    require_int16(graph, op, input_tensor(graph, op, 0), output_tensor(graph, op))
    return pool_step(graph, op, "ec_max_pool_s16", INT16_RANGE, _MOST_ELEMENTS)


def lower_mean(graph: Graph, op: Op, names: Names) -> Step:
    """Over any constant axes.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    x, out, axes = _reduction(graph, op)
    count = max(int(np.prod([x.shape[a] for a in axes], dtype=np.int64)), 1)
    return reduce_step(graph, op, "ec_mean_s16", axes, mean_scale(x.scale / out.scale, count), _MOST_ELEMENTS)


def lower_sum(graph: Graph, op: Op, names: Names) -> Step:
    """Over any constant axes.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    x, out, axes = _reduction(graph, op)
    return reduce_step(graph, op, "ec_mean_s16", axes, quantize_multiplier(x.scale / out.scale), _MOST_ELEMENTS)


def _reduction(graph: Graph, op: Op) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    x, out = input_tensor(graph, op, 0), output_tensor(graph, op)
    require_int16(graph, op, x, out)
    return x, out, reduced_axes(constant_axes(graph, op), len(x.shape))


LOWER: dict[str, Lowering] = {
    "CONV_2D": lower_conv2d,
    "DEPTHWISE_CONV_2D": lower_depthwise_conv2d,
    "FULLY_CONNECTED": lower_fully_connected,
    "ADD": lower_add,
    "SUB": lower_sub,
    "MUL": lower_mul,
    "AVERAGE_POOL_2D": lower_average_pool,
    "MAX_POOL_2D": lower_max_pool,
    "MEAN": lower_mean,
    "SUM": lower_sum,
}
