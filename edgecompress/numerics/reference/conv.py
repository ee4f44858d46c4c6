"""CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED; their C twins are in firmware/include/ec_conv.h.

`out = clamp(zero_point + scale * (bias + sum weight * (in - in_zero_point)))`. Padding adds real zeros, so inputs are moved to zero point 0
before they are padded. Sums are int64 here and wrap to int32 at the end, as the bias may make them do in C.

With int16 inputs and outputs (zero point 0) sums keep 64 bits, unless the file has a bias of 32 bits: then they wrap as above.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecompress.graph import (
    Activation,
    ConvOptions,
    DepthwiseConvOptions,
    DType,
    FullyConnectedOptions,
    Graph,
    Op,
    Padding,
    Tensor,
    TransposeConvOptions,
)
from edgecompress.numerics.affine import INT16_RANGE, activation_clamp
from edgecompress.numerics.fixedpoint import FixedScale, requantize, requantize_int16, requantize_int64
from edgecompress.numerics.reference.oracle import Array, Oracle, Values, no_oracle, require_types
from edgecompress.numerics.scales import convolution_scales, dense_scales
from edgecompress.numerics.window import pad_before

_Wide = NDArray[np.int64]


def evaluate_conv2d(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    """[n, h, w, c] with filters [o, kh, kw, c / groups] -> [n, oh, ow, o]."""
    options = op.options
    if not isinstance(options, ConvOptions):
        raise no_oracle(graph, op, "its options are missing")
    source, weights, output = _tensors(graph, op)
    filters = _wide(values[1])
    patches = _patches(_centred(values[0], source), filters.shape[1], filters.shape[2], output, options)
    groups = source.shape[3] // filters.shape[3]
    # [n, oh, ow, kh, kw, g, c/g] with [g, o/g, kh, kw, c/g]: each group of filters sees its own channels.
    grouped = patches.reshape(*patches.shape[:5], groups, filters.shape[3])
    acc = np.einsum("nyxijgc,goijc->nyxgo", grouped, filters.reshape(groups, -1, *filters.shape[1:]), optimize=True)
    scales = convolution_scales(source, weights, output, filters.shape[0])
    return (_finish(acc.reshape(output.shape), _bias(values, options, filters.shape[0]), scales, output, options.activation),)


def evaluate_depthwise_conv2d(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    """[n, h, w, c] with filters [1, kh, kw, c * m] -> [n, oh, ow, c * m]; output channel o reads input channel o // m."""
    options = op.options
    if not isinstance(options, DepthwiseConvOptions):
        raise no_oracle(graph, op, "its options are missing")
    source, weights, output = _tensors(graph, op)
    if output.dtype is DType.INT16 and len(values) > 2 and values[2].dtype == np.int32:
        raise no_oracle(graph, op, "expected an int64 bias beside int16, came int32")
    filters = _wide(values[1])[0]
    patches = _patches(_centred(values[0], source), filters.shape[0], filters.shape[1], output, options)
    spread = np.repeat(patches, options.depth_multiplier, axis=-1)
    acc = np.einsum("nyxijo,ijo->nyxo", spread, filters)
    scales = convolution_scales(source, weights, output, filters.shape[2])
    return (_finish(acc, _optional(values, 2), scales, output, options.activation),)


def evaluate_transpose_conv(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    """Inputs: the output's shape, filters [o, kh, kw, c], [n, h, w, c], bias. Scatters each input pixel into a large enough image."""
    options = op.options
    if not isinstance(options, TransposeConvOptions):
        raise no_oracle(graph, op, "its options are missing")
    source, weights, output = _tensors(graph, op, source=2)
    filters, x = _wide(values[1]), _centred(values[2], source)
    n, h, w, _ = x.shape
    channels, kh, kw, _ = filters.shape
    sh, sw = options.stride_h, options.stride_w
    top = pad_before(options.padding, output.shape[1], kh, sh)
    left = pad_before(options.padding, output.shape[2], kw, sw)
    image = np.zeros((n, max((h - 1) * sh + kh, top + output.shape[1]), max((w - 1) * sw + kw, left + output.shape[2]), channels), np.int64)
    for ky in range(kh):
        for kx in range(kw):
            image[:, ky : ky + h * sh : sh, kx : kx + w * sw : sw][:, :h, :w] += np.einsum("nyxc,oc->nyxo", x, filters[:, ky, kx])
    acc = image[:, top : top + output.shape[1], left : left + output.shape[2]]
    scales = convolution_scales(source, weights, output, channels)
    return (_finish(acc, _optional(values, 3), scales, output, options.activation),)


def evaluate_fully_connected(graph: Graph, op: Op, values: Values) -> tuple[Array, ...]:
    """[..., i] with weights [o, i] -> [..., o]; whatever the input's shape, rows of i elements are taken from it."""
    options = op.options
    if not isinstance(options, FullyConnectedOptions):
        raise no_oracle(graph, op, "its options are missing")
    source, weights, output = _tensors(graph, op)
    matrix = _wide(values[1])
    if weights.quantization is not None and not weights.quantization.per_channel:
        matrix = matrix - weights.zero_point
    acc = _centred(values[0], source).reshape(-1, matrix.shape[-1]) @ matrix.T
    scales = dense_scales(source, weights, output, matrix.shape[0])
    bias = _bias(values, options, matrix.shape[0])
    return (_finish(acc, bias, scales, output, options.activation).reshape(output.shape),)


def _tensors(graph: Graph, op: Op, source: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Input (at position `source`), weights and output: all int8, or int16 with int8 weights; weights may be int4, which are unpacked."""
    if len(op.inputs) <= max(source, 1) or op.inputs[1] < 0 or op.inputs[source] < 0:
        raise no_oracle(graph, op, f"expected an input and weights, came inputs {op.inputs}")
    tensors = graph.tensor(op.inputs[source]), graph.tensor(op.inputs[1]), graph.tensor(op.outputs[0])
    require_types(graph, op, tensors[1:2], DType.INT8, DType.INT4)
    require_types(graph, op, tensors[::2], DType.INT16 if tensors[0].dtype is DType.INT16 else DType.INT8)
    return tensors


def _optional(values: Values, position: int) -> Array | None:
    """An input that may be left out."""
    return values[position] if position < len(values) and values[position].size else None


def _bias(values: Values, options: ConvOptions | FullyConnectedOptions, channels: int) -> Array | None:
    """The bias; zeros for one left out whose type tells how wide sums of int16 are."""
    given = _optional(values, 2)
    return np.zeros(channels, np.int32) if given is None and options.narrow_sums else given


def _wide(values: Array) -> _Wide:
    return values.astype(np.int64)


def _centred(values: Array, tensor: Tensor) -> _Wide:
    return _wide(values) - tensor.zero_point


def _patches(x: _Wide, kh: int, kw: int, output: Tensor, options: ConvOptions | DepthwiseConvOptions) -> _Wide:
    """[n, oh, ow, kh, kw, c]: what each output pixel sees, zeros where it looks over the edge."""
    _, oh, ow, _ = output.shape
    rows = _positions(options.padding, x.shape[1], oh, kh, options.stride_h, options.dilation_h)
    columns = _positions(options.padding, x.shape[2], ow, kw, options.stride_w, options.dilation_w)
    seen = x[:, np.clip(rows, 0, x.shape[1] - 1)][:, :, :, np.clip(columns, 0, x.shape[2] - 1)]
    inside = _inside(rows, x.shape[1])[:, :, None, None] & _inside(columns, x.shape[2])[None, None]
    # seen: [n, oh, kh, ow, kw, c]
    return np.where(inside[None, ..., None], seen, 0).transpose(0, 1, 3, 2, 4, 5)


def _positions(padding: Padding, size: int, out_size: int, filter_size: int, stride: int, dilation: int) -> NDArray[np.int64]:
    """[out, filter]: input positions of every tap, padding included."""
    start = np.arange(out_size) * stride - pad_before(padding, size, filter_size, stride, dilation)
    return start[:, None] + np.arange(filter_size) * dilation


def _inside(positions: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    return (positions >= 0) & (positions < size)


def _finish(acc: _Wide, bias: Array | None, scales: Sequence[FixedScale], output: Tensor, activation: Activation) -> Array:
    total = acc if bias is None else acc + bias.astype(np.int64)
    if output.dtype is DType.INT16:
        low, high = activation_clamp(activation, output.scale, 0, INT16_RANGE)
        if bias is None or bias.dtype == np.int64:
            return requantize_int64(total, scales, low, high)
        return requantize_int16(total.astype(np.uint32).astype(np.int32), scales, low, high)
    low, high = activation_clamp(activation, output.scale, output.zero_point)
    return requantize(total.astype(np.uint32).astype(np.int32), scales, output.zero_point, low, high)


REFERENCE: dict[str, Oracle] = {
    "CONV_2D": evaluate_conv2d,
    "DEPTHWISE_CONV_2D": evaluate_depthwise_conv2d,
    "TRANSPOSE_CONV": evaluate_transpose_conv,
    "FULLY_CONNECTED": evaluate_fully_connected,
}
