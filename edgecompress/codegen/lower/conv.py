"""CONV_2D and DEPTHWISE_CONV_2D as calls of ec_conv2d_s8 and ec_depthwise_conv2d_s8."""

from __future__ import annotations

from edgecompress.codegen.lower.rules import Lowering, fused_clamp, input_tensor, output_tensor, require_int8, require_weights, unsupported
from edgecompress.codegen.lower.weighted import bias_argument, check_sums, require_symmetric, scale_argument, weights_argument
from edgecompress.codegen.program import Argument, ConstantArg, Field, Names, ParamsArg, Step, TensorArg
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Graph, Op, Tensor
from edgecompress.numerics.affine import Clamp
from edgecompress.numerics.scales import convolution_scales
from edgecompress.numerics.window import pad_before, window_count


def lower_conv2d(graph: Graph, op: Op, names: Names) -> Step:
    """Also grouped, dilated, without bias, or with several images.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    options = op.options
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if not isinstance(options, ConvOptions):
        raise unsupported(graph, op, "its options are missing")
    require_int8(graph, op, source, output)
    require_weights(graph, op, weights)
    require_images(graph, op, source, weights, output, options)
    fields = conv_groups(graph, op, source, weights, output)
    return _step(graph, op, names, "ec_conv2d_s8", options, fields, channel_axis=0)


def lower_depthwise_conv2d(graph: Graph, op: Op, names: Names) -> Step:
    """Also with a depth multiplier, dilated, without bias, or with several images.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    options = op.options
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if not isinstance(options, DepthwiseConvOptions):
        raise unsupported(graph, op, "its options are missing")
    require_int8(graph, op, source, output)
    require_weights(graph, op, weights)
    require_images(graph, op, source, weights, output, options)
    fields = depthwise_groups(graph, op, source, weights, output, options.depth_multiplier)
    return _step(graph, op, names, "ec_depthwise_conv2d_s8", options, fields, channel_axis=3)


def conv_groups(graph: Graph, op: Op, source: Tensor, weights: Tensor, output: Tensor) -> dict[str, Field]:
    """How the filters of a CONV_2D are grouped.

    Raises:
        UnsupportedOpError: channels that do not divide.
    """
    channels, _, _, filter_c = weights.shape
    groups = source.shape[3] // filter_c if filter_c else 0
    if groups == 0 or source.shape[3] % filter_c or channels % groups or channels != output.shape[3]:
        raise unsupported(graph, op, f"filters {weights.shape} do not divide {source.shape[3]} input and {output.shape[3]} output channels")
    return {"filter_c": filter_c, "filters_per_group": channels // groups}


def depthwise_groups(graph: Graph, op: Op, source: Tensor, weights: Tensor, output: Tensor, multiplier: int) -> dict[str, Field]:
    """One group of filters for each input channel.

    Raises:
        UnsupportedOpError: channels that do not match the depth multiplier.
    """
    channels = source.shape[3] * multiplier
    if weights.shape[0] != 1 or weights.shape[3] != channels or output.shape[3] != channels:
        raise unsupported(
            graph,
            op,
            f"filters {weights.shape} and {output.shape[3]} output channels do not match {source.shape[3]} input channels "
            f"with a depth multiplier of {multiplier}",
        )
    return {"filter_c": 1, "filters_per_group": multiplier}


def require_images(
    graph: Graph, op: Op, source: Tensor, weights: Tensor, output: Tensor, options: ConvOptions | DepthwiseConvOptions
) -> None:
    """The output must have the shape that this window makes of the input: the kernel believes it."""
    if not (len(source.shape) == len(weights.shape) == len(output.shape) == 4):
        raise unsupported(graph, op, f"expected 4 dimensions, came input {source.shape}, filters {weights.shape}, output {output.shape}")
    _, kh, kw, _ = weights.shape
    expected = (
        source.shape[0],
        window_count(options.padding, source.shape[1], kh, options.stride_h, options.dilation_h),
        window_count(options.padding, source.shape[2], kw, options.stride_w, options.dilation_w),
    )
    if output.shape[:3] != expected:
        raise unsupported(graph, op, f"expected an output of {expected} images, rows and columns, came {output.shape[:3]}")


def _step(
    graph: Graph,
    op: Op,
    names: Names,
    function: str,
    options: ConvOptions | DepthwiseConvOptions,
    filter_fields: dict[str, Field],
    channel_axis: int,
) -> Step:
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    require_symmetric(graph, op, weights, channel_axis)
    check_sums(graph, op, weights, source, channel_axis)
    params = conv_params(options, source, weights, output, filter_fields, fused_clamp(graph, op, options.activation, output))
    arguments: tuple[Argument, ...] = (
        ParamsArg("ec_conv_params", params),
        TensorArg(source.index),
        weights_argument(names, weights, "o, kh, kw, c" if channel_axis == 0 else "1, kh, kw, o"),
        bias_argument(graph, op, names, 2, output.shape[3]),
        ConstantArg(scale_argument(names, convolution_scales(source, weights, output, output.shape[3]))),
        TensorArg(output.index),
    )
    reads = tuple(t.index for t in (source, weights) if not t.is_constant)
    return Step((op.index,), function, f"kernels/portable/{function}.c", arguments, reads, (output.index,))


def conv_params(
    options: ConvOptions | DepthwiseConvOptions,
    source: Tensor,
    weights: Tensor,
    output: Tensor,
    filter_fields: dict[str, Field],
    clamp: Clamp,
) -> dict[str, Field]:
    """An `ec_conv_params`; `filter_fields` from `conv_groups` or `depthwise_groups`."""
    _, kh, kw, _ = weights.shape
    return {
        "batches": source.shape[0],
        "in": image_shape(source),
        "out": image_shape(output),
        "filter_h": kh,
        "filter_w": kw,
        **filter_fields,
        "stride_h": options.stride_h,
        "stride_w": options.stride_w,
        "dilation_h": options.dilation_h,
        "dilation_w": options.dilation_w,
        "pad_top": pad_before(options.padding, source.shape[1], kh, options.stride_h, options.dilation_h),
        "pad_left": pad_before(options.padding, source.shape[2], kw, options.stride_w, options.dilation_w),
        "in_zero_point": source.zero_point,
        "out_zero_point": output.zero_point,
        "out_min": clamp.low,
        "out_max": clamp.high,
    }


def image_shape(tensor: Tensor) -> dict[str, Field]:
    """The `ec_shape` of one image of an NHWC tensor."""
    return {"h": tensor.shape[1], "w": tensor.shape[2], "c": tensor.shape[3]}


LOWER: dict[str, Lowering] = {"CONV_2D": lower_conv2d, "DEPTHWISE_CONV_2D": lower_depthwise_conv2d}
