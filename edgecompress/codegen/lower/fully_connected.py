"""FULLY_CONNECTED as a call of ec_fully_connected_s8."""

from __future__ import annotations

from edgecompress.codegen.lower.rules import Lowering, fused_clamp, input_tensor, output_tensor, require_int8, require_weights, unsupported
from edgecompress.codegen.lower.weighted import bias_argument, check_sums, require_symmetric, scale_argument, weights_argument
from edgecompress.codegen.program import Argument, ConstantArg, Field, Names, ParamsArg, Step, TensorArg
from edgecompress.graph import FullyConnectedOptions, Graph, Op, Tensor
from edgecompress.numerics.scales import dense_scales


def lower_fully_connected(graph: Graph, op: Op, names: Names) -> Step:
    """With one scale or one per output, several rows, with or without bias; weights may be computed by the model.

    Raises:
        UnsupportedOpError: a type, shape or quantization that the kernel does not take.
    """
    options = op.options
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if not isinstance(options, FullyConnectedOptions):
        raise unsupported(graph, op, "its options are missing")
    if options.shuffled_weights:
        raise unsupported(graph, op, "its weights are shuffled for a phone kernel", "convert the model without shuffled weights")
    require_int8(graph, op, source, output)
    require_weights(graph, op, weights)
    if weights.quantization is not None and weights.quantization.per_channel:
        require_symmetric(graph, op, weights, channel_axis=0)
    batches = count_rows(graph, op, source, weights, output)
    check_sums(graph, op, weights, source, channel_axis=0)
    clamp = fused_clamp(graph, op, options.activation, output)
    out_len, in_len = weights.shape
    scales = dense_scales(source, weights, output, out_len)
    params: dict[str, Field] = {
        "batches": batches,
        "in_len": in_len,
        "out_len": out_len,
        "scale_stride": 0 if len(scales) == 1 else 1,
        "in_zero_point": source.zero_point,
        "weights_zero_point": _weights_zero_point(weights),
        "out_zero_point": output.zero_point,
        "out_min": clamp.low,
        "out_max": clamp.high,
    }
    arguments: tuple[Argument, ...] = (
        ParamsArg("ec_fc_params", params),
        TensorArg(source.index),
        weights_argument(names, weights, "o, i"),
        bias_argument(graph, op, names, 2, out_len),
        ConstantArg(scale_argument(names, scales)),
        TensorArg(output.index),
    )
    reads = tuple(t.index for t in (source, weights) if not t.is_constant)
    return Step((op.index,), "ec_fully_connected_s8", "kernels/portable/ec_fully_connected_s8.c", arguments, reads, (output.index,))


def count_rows(graph: Graph, op: Op, source: Tensor, weights: Tensor, output: Tensor) -> int:
    if len(weights.shape) != 2:
        raise unsupported(graph, op, f"expected weights of 2 dimensions, came {weights.shape}")
    out_len, in_len = weights.shape
    rows = source.elements // in_len if in_len else 0
    if rows * in_len != source.elements or rows * out_len != output.elements:
        raise unsupported(graph, op, f"weights {weights.shape} do not match input {source.shape} and output {output.shape}")
    return rows


def _weights_zero_point(weights: Tensor) -> int:
    quantization = weights.quantization
    return 0 if quantization is None or quantization.per_channel else weights.zero_point


LOWER: dict[str, Lowering] = {"FULLY_CONNECTED": lower_fully_connected}
