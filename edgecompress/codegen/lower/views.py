"""Layers as other layers that compute the same and are smaller, or have faster kernels.

A view is the graph with the tensors of one op in other shapes: the same bytes in the same order, so that nothing is copied.

    taps that only meet padding   are left out of the filters (3x3 on an image of one pixel is 1x1): they add nothing, for a padded input is
                                  the zero point
    one window, the whole image   as a dense layer
    images one pixel wide         as images one pixel high: rows of windows become contiguous, and pixels go in pairs
    depthwise of one channel      as a convolution: every filter meets the whole input
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.graph import ConvOptions, DepthwiseConvOptions, FullyConnectedOptions, Graph, Op, Padding, Tensor
from edgecompress.numerics.window import pad_before, window_count

# A dense layer's channels take 12 bytes, a convolution's about 5, which is one byte in twenty more beside that many weights; with fewer a
# convolution is asked first.
_DENSE_INPUTS = 128
# The dense kernel's code is about 1,100 bytes on cores with DSP; fewer products than these do not earn it (a classifier of two classes
# behind 256 channels would save 2,000 instructions), unless another layer brings it in.
_DENSE_PRODUCTS = 4096


def without_dead_taps(graph: Graph, op: Op) -> tuple[Graph, Op]:
    """The graph and its op with the filter's taps that meet the image somewhere; both as they are for most ops. The op must be one that a
    portable kernel takes.
    """
    options = op.options
    if not isinstance(options, ConvOptions | DepthwiseConvOptions):
        return graph, op
    source, weights = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1])
    if weights.data is None:
        return graph, op
    all_rows, all_columns = range(weights.shape[1]), range(weights.shape[2])
    high = _Dimension(options.padding, source.shape[1], len(all_rows), options.stride_h, options.dilation_h)
    wide = _Dimension(options.padding, source.shape[2], len(all_columns), options.stride_w, options.dilation_w)
    rows, columns = high.live_taps(), wide.live_taps()
    for some_rows, some_columns in ((rows, columns), (rows, all_columns), (all_rows, columns)):
        if (some_rows, some_columns) == (all_rows, all_columns):
            continue
        for padding in (options.padding, Padding.SAME, Padding.VALID):
            if high.keeps_windows(padding, some_rows) and wide.keeps_windows(padding, some_columns):
                cropped = _crop(weights, weights.data, some_rows, some_columns)
                return _with_tensors(graph, cropped), replace(op, options=replace(options, padding=padding))
    return graph, op


def views(graph: Graph, op: Op) -> Iterator[tuple[Graph, Op]]:
    """The op as fast kernels take it, best first; the op must be one that a portable kernel takes."""
    dense = _dense_view(graph, op) if isinstance(op.options, ConvOptions) else None
    if dense is not None and graph.tensor(op.inputs[0]).elements >= _DENSE_INPUTS and _earns_kernel(graph, op):
        yield dense
    yield _better_view(graph, op)
    if dense is not None:
        yield dense


def _earns_kernel(graph: Graph, op: Op) -> bool:
    return graph.tensor(op.inputs[1]).elements >= _DENSE_PRODUCTS or any(other.kind == "FULLY_CONNECTED" for other in graph.ops)


@dataclass(frozen=True)
class _Dimension:
    """How windows lie along one dimension."""

    padding: Padding
    size: int
    taps: int
    stride: int
    dilation: int

    def live_taps(self) -> range:
        """From the first to the last tap that meets the image in some window; all of them where none does."""
        starts = [n * self.stride - self._before() for n in range(self._count())]
        live = [k for k in range(self.taps) if any(0 <= start + k * self.dilation < self.size for start in starts)]
        return range(live[0], live[-1] + 1) if live else range(self.taps)

    def keeps_windows(self, padding: Padding, taps: range) -> bool:
        """Whether a filter of these taps alone, with this padding, meets the same inputs."""
        other = replace(self, padding=padding, taps=len(taps))
        return other._count() == self._count() and other._before() == self._before() - taps.start * self.dilation

    def _count(self) -> int:
        return window_count(self.padding, self.size, self.taps, self.stride, self.dilation)

    def _before(self) -> int:
        return pad_before(self.padding, self.size, self.taps, self.stride, self.dilation)


def _crop(weights: Tensor, values: NDArray[np.generic], rows: range, columns: range) -> Tensor:
    data = np.ascontiguousarray(values[:, rows.start : rows.stop, columns.start : columns.stop, :])
    return replace(weights, shape=data.shape, data=data)


def _dense_view(graph: Graph, op: Op) -> tuple[Graph, Op] | None:
    """A convolution whose only window is the whole image. With one scale for all filters TFLM rounds dense layers otherwise."""
    options = op.options
    source, weights, output = graph.tensor(op.inputs[0]), graph.tensor(op.inputs[1]), graph.tensor(op.outputs[0])
    if not isinstance(options, ConvOptions) or weights.data is None or weights.quantization is None:
        return None
    whole = weights.shape[1:] == source.shape[1:] and output.shape[:3] == (1, 1, 1)
    if not whole or len(weights.quantization.scales) < 2 or _pads(source, weights, options):
        return None
    filters = weights.shape[0]
    flat = replace(weights, shape=(filters, source.elements), data=weights.data.reshape(filters, -1))
    return _with_tensors(graph, flat), replace(op, kind="FULLY_CONNECTED", options=FullyConnectedOptions(activation=options.activation))


def _pads(source: Tensor, weights: Tensor, options: ConvOptions) -> bool:
    """Whether the first window begins outside the image, or its taps lie apart."""
    before = (
        pad_before(options.padding, source.shape[1], weights.shape[1], options.stride_h, options.dilation_h),
        pad_before(options.padding, source.shape[2], weights.shape[2], options.stride_w, options.dilation_w),
    )
    apart = (options.dilation_h > 1 and weights.shape[1] > 1) or (options.dilation_w > 1 and weights.shape[2] > 1)
    return any(before) or apart


def _better_view(graph: Graph, op: Op) -> tuple[Graph, Op]:
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
    return _with_tensors(graph, source, weights, output), op


def _with_tensors(graph: Graph, *tensors: Tensor) -> Graph:
    """The graph with these instead of those of the same index."""
    changed = {tensor.index: tensor for tensor in tensors}
    return replace(graph, tensors=tuple(changed.get(tensor.index, tensor) for tensor in graph.tensors))


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
