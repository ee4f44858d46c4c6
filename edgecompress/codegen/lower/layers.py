"""Convolutions as the fast kernels take them: constant weights, folded biases, and sums and scales within the shared bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.channels import folded_channels
from edgecompress.codegen.lower.packing import FoldedBias, fold_bias, shifts_right
from edgecompress.codegen.lower.rules import input_tensor, output_tensor
from edgecompress.codegen.lower.weighted import bias_values
from edgecompress.codegen.program import Argument, Names, Overlap, ScratchArg, Step, TensorArg
from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Graph, Op, Tensor
from edgecompress.numerics.fixedpoint import FixedScale
from edgecompress.numerics.scales import convolution_scales
from edgecompress.numerics.window import pad_before


@dataclass(frozen=True, eq=False)
class ConvolutionLayer:
    """A layer that `read_convolution` found fit.

    Attributes:
        matrix: weights, [output channels, n]; n runs over rows, columns and input channels of the filter, in this order.
        values: weights in the shape of the file.
        scales: one an output channel.
    """

    portable: Step
    source: Tensor
    weights: Tensor
    output: Tensor
    values: NDArray[np.int8]
    matrix: NDArray[np.int8]
    folded: FoldedBias
    scales: tuple[FixedScale, ...]

    def step(self, names: Names, function: str, folder: str, weights: Sequence[Argument], scratch_bytes: int, lead: int) -> Step:
        """The call of a kernel with the arguments `(params, in, *weights, channels, scratch, out)`."""
        arguments = (
            self.portable.arguments[0],
            TensorArg(self.source.index),
            *weights,
            folded_channels(names, self.folded, self.scales, self.source, self.weights, self.output),
            ScratchArg(),
            TensorArg(self.output.index),
        )
        return replace(
            self.portable,
            function=function,
            kernel=f"kernels/{folder}/{function}.c",
            arguments=arguments,
            scratch_bytes=scratch_bytes,
            overlaps=(Overlap(self.source.index, self.output.index, lead),),
        )


def read_convolution(graph: Graph, op: Op, portable: Step) -> ConvolutionLayer | None:
    """CONV_2D or DEPTHWISE_CONV_2D; None for weights or inputs that are not what they must be, and where a shared bound does not hold."""
    source, weights, output = input_tensor(graph, op, 0), input_tensor(graph, op, 1), output_tensor(graph, op)
    if weights.data is None or source.is_constant:
        return None
    channels, values = output.shape[3], weights.data.astype(np.int8)
    depthwise = isinstance(op.options, DepthwiseConvOptions)
    matrix = values.reshape(-1, channels).T if depthwise else values.reshape(channels, -1)
    folded = fold_bias(matrix, bias_values(graph, op), source.zero_point)
    scales = convolution_scales(source, weights, output, channels)
    if not folded.fits or not shifts_right(scales):
        return None
    return ConvolutionLayer(portable, source, weights, output, values, matrix, folded, scales)


def share_inside(options: ConvOptions, source: Tensor, weights: Tensor, output: Tensor) -> float:
    """Which part of all windows' taps lies inside the image: the products that a portable kernel takes, of those that a fast one does."""
    _, kh, kw, _ = weights.shape
    rows = _taps_inside(source.shape[1], output.shape[1], kh, options.stride_h, options.dilation_h, options)
    columns = _taps_inside(source.shape[2], output.shape[2], kw, options.stride_w, options.dilation_w, options)
    return rows * columns / (output.shape[1] * output.shape[2] * kh * kw)


def _taps_inside(size: int, count: int, taps: int, stride: int, dilation: int, options: ConvOptions) -> int:
    start = -pad_before(options.padding, size, taps, stride, dilation)
    places = start + stride * np.arange(count)[:, None] + dilation * np.arange(taps)[None, :]
    return int(((places >= 0) & (places < size)).sum())


def fewer_products(options: ConvOptions, layer: ConvolutionLayer, at_once: int, share: float) -> bool:
    """Whether a kernel that takes so many pixels at once, padding and all, is faster than the portable one.

    Args:
        share: of the instructions of a portable product, that one of its products takes.
    """
    pixels = layer.output.elements // layer.output.shape[3]
    slots = -(-pixels // at_once) * at_once
    return share * slots / pixels < share_inside(options, layer.source, layer.weights, layer.output)
