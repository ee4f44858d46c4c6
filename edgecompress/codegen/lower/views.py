"""Layers as other layers that compute the same and have faster kernels.

A view is the graph with the tensors of one op in other shapes: the same bytes in the same order, so that nothing is copied.

    images one pixel wide      as images one pixel high: rows of windows become contiguous, and pixels go in pairs
    depthwise of one channel   as a convolution: every filter meets the whole input
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Graph, Op, Tensor


def better_view(graph: Graph, op: Op) -> tuple[Graph, Op]:
    """The graph and its op as fast kernels take it best; both as they are for most ops. The op must be one that a portable kernel takes."""
    options = op.options
    if not isinstance(options, ConvOptions | DepthwiseConvOptions):
        return graph, op
    source, weights, output = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1]), graph.tensor(op.outputs[0])
    if weights.data is None:
        return graph, op
    if isinstance(options, DepthwiseConvOptions) and source.shape[3] == 1:
        op, weights, options = (
            replace(op, kind="CONV_2D", options=_as_convolution(options)),
            _as_filters(weights, weights.data),
            _as_convolution(options),
        )
    if source.shape[2] == weights.shape[2] == output.shape[2] == 1 and source.shape[1] > 1:
        op = replace(op, options=_turned(options))
        source, weights, output = (_turn(tensor) for tensor in (source, weights, output))
    changed = {tensor.index: tensor for tensor in (source, weights, output)}
    return replace(graph, tensors=tuple(changed.get(tensor.index, tensor) for tensor in graph.tensors)), op


def _as_convolution(options: DepthwiseConvOptions) -> ConvOptions:
    return ConvOptions(options.padding, options.stride_h, options.stride_w, options.dilation_h, options.dilation_w, options.activation)


def _as_filters(weights: Tensor, values: NDArray[np.generic]) -> Tensor:
    """[1, h, w, filters] as [filters, h, w, 1]."""
    data = np.ascontiguousarray(values.transpose(3, 1, 2, 0))
    quantization = weights.quantization
    if quantization is not None and quantization.axis is not None:
        quantization = replace(quantization, axis=0)
    return replace(weights, shape=data.shape, data=data, quantization=quantization)


def _turned(options: ConvOptions | DepthwiseConvOptions) -> ConvOptions | DepthwiseConvOptions:
    return replace(
        options,
        stride_h=options.stride_w,
        stride_w=options.stride_h,
        dilation_h=options.dilation_w,
        dilation_w=options.dilation_h,
    )


def _turn(tensor: Tensor) -> Tensor:
    """[n, h, 1, c] as [n, 1, h, c]."""
    n, h, w, c = tensor.shape
    return replace(tensor, shape=(n, w, h, c), data=None if tensor.data is None else tensor.data.reshape(n, w, h, c))
