"""TRANSPOSE_CONV as a call of ec_transpose_conv_s8."""

from __future__ import annotations

from edgecompress.codegen.lower.conv import image_shape
from edgecompress.codegen.lower.rules import Lowering, fused_clamp, input_tensor, output_tensor, require_int8, unsupported
from edgecompress.codegen.lower.weighted import bias_argument, check_sums, require_symmetric, scale_argument, weights_argument
from edgecompress.codegen.program import Argument, ConstantArg, Field, Names, ParamsArg, Step, TensorArg
from edgecompress.graph import Graph, Op, Tensor, TransposeConvOptions
from edgecompress.numerics.scales import convolution_scales
from edgecompress.numerics.window import pad_before, window_count


def lower_transpose_conv(graph: Graph, op: Op, names: Names) -> Step:
    """Inputs are the output's shape (which the file has settled already), filters, input and an optional bias.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    options = op.options
    weights, source, output = input_tensor(graph, op, 1), input_tensor(graph, op, 2), output_tensor(graph, op)
    if not isinstance(options, TransposeConvOptions):
        raise unsupported(graph, op, "its options are missing")
    require_int8(graph, op, source, weights, output)
    _require_images(graph, op, source, weights, output, options)
    require_symmetric(graph, op, weights, channel_axis=0)
    check_sums(graph, op, weights, source, channel_axis=0)
    clamp = fused_clamp(graph, op, options.activation, output)
    channels, kh, kw, _ = weights.shape
    params: dict[str, Field] = {
        "batches": source.shape[0],
        "in": image_shape(source),
        "out": image_shape(output),
        "filter_h": kh,
        "filter_w": kw,
        "filter_c": source.shape[3],
        "filters_per_group": channels,
        "stride_h": options.stride_h,
        "stride_w": options.stride_w,
        "dilation_h": 1,
        "dilation_w": 1,
        "pad_top": pad_before(options.padding, output.shape[1], kh, options.stride_h),
        "pad_left": pad_before(options.padding, output.shape[2], kw, options.stride_w),
        "in_zero_point": source.zero_point,
        "out_zero_point": output.zero_point,
        "out_min": clamp.low,
        "out_max": clamp.high,
    }
    arguments: tuple[Argument, ...] = (
        ParamsArg("ec_conv_params", params),
        TensorArg(source.index),
        weights_argument(names, weights, "o, kh, kw, c"),
        bias_argument(graph, op, names, 3, channels),
        ConstantArg(scale_argument(names, convolution_scales(source, weights, output, channels))),
        TensorArg(output.index),
    )
    reads = tuple(t.index for t in (source, weights) if not t.is_constant)
    return Step((op.index,), "ec_transpose_conv_s8", "kernels/portable/ec_transpose_conv_s8.c", arguments, reads, (output.index,))


def _require_images(graph: Graph, op: Op, source: Tensor, weights: Tensor, output: Tensor, options: TransposeConvOptions) -> None:
    """A transposed convolution's input is what the plain one would make of its output."""
    if not (len(source.shape) == len(weights.shape) == len(output.shape) == 4):
        raise unsupported(graph, op, f"expected 4 dimensions, came input {source.shape}, filters {weights.shape}, output {output.shape}")
    channels, kh, kw, filter_c = weights.shape
    expected = (
        output.shape[0],
        window_count(options.padding, output.shape[1], kh, options.stride_h),
        window_count(options.padding, output.shape[2], kw, options.stride_w),
        filter_c,
    )
    if source.shape != expected or output.shape[3] != channels:
        raise unsupported(graph, op, f"input {source.shape}, filters {weights.shape} and output {output.shape} do not fit each other")


LOWER: dict[str, Lowering] = {"TRANSPOSE_CONV": lower_transpose_conv}
