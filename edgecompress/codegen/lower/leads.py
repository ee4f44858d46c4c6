"""How far an output may overlap the input that its kernel reads: the `lead` of an Overlap, from the order in which a kernel goes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecompress.graph import ConvOptions, DepthwiseConvOptions, Tensor
from edgecompress.numerics.window import pad_before, span


def pixels_lead(
    options: ConvOptions | DepthwiseConvOptions, source: Tensor, weights: Tensor, output: Tensor, groups: int = 1, at_once: int = 2
) -> int:
    """For a kernel that takes so many output pixels at once, in order: it reads their windows, then writes them.

    With groups it reads a part and writes a part, so their own windows must survive their own outputs. Bytes.
    """
    images = output.shape[0]
    pixel_bytes = output.bytes // (output.elements // output.shape[3])
    first = first_bytes(options, source, weights, output)
    size = source.bytes // images
    starts = (np.arange(images)[:, None] * size + first[None, :]).reshape(-1)
    # The earliest byte that this pixel or a later one reads.
    earliest = np.minimum.accumulate(starts[::-1])[::-1]
    taken = np.arange(0, len(starts), at_once)
    written = np.minimum(taken + at_once, len(starts)) * pixel_bytes
    later = taken if groups > 1 else taken + at_once
    kept = later < len(starts)
    return int((written[kept] - earliest[later[kept]]).max(initial=-source.bytes))


def rows_lead(options: DepthwiseConvOptions, source: Tensor, weights: Tensor, output: Tensor, at_once: int = 2) -> int:
    """For a kernel that keeps a ring of input rows: it reads all rows that an output row needs, then writes that row in so many pixels at
    once, the last ones beyond it where they do not fit and another row follows. Bytes.
    """
    images, h, w, c = source.shape
    _, rows, columns, channels = output.shape
    kh = weights.shape[1]
    padding = pad_before(options.padding, h, kh, options.stride_h, options.dilation_h)
    lead = -source.bytes
    for image in range(images):
        for y in range(rows):
            top = y * options.stride_h - padding
            kept = min(max(top + span(kh, options.dilation_h), top + options.stride_h, 0), h)
            unread = image * h + kept
            if unread < images * h:
                written = ((image * rows + y + 1) * columns + -columns % at_once) * channels
                lead = max(lead, written - unread * w * c)
    return lead


def first_bytes(options: ConvOptions | DepthwiseConvOptions, source: Tensor, weights: Tensor, output: Tensor) -> NDArray[np.int64]:
    """The first byte of its image that each output pixel reads, int64 [out.h * out.w]."""
    _, h, w, channels = source.shape
    _, kh, kw, _ = weights.shape
    rows = _first_taps(output.shape[1], options.stride_h, pad_before(options.padding, h, kh, options.stride_h, options.dilation_h))
    columns = _first_taps(output.shape[2], options.stride_w, pad_before(options.padding, w, kw, options.stride_w, options.dilation_w))
    pixel_bytes = channels * (source.bytes // source.elements)
    return ((rows[:, None] * w + columns[None, :]) * pixel_bytes).reshape(-1)


def _first_taps(count: int, stride: int, padding: int) -> NDArray[np.int64]:
    """A lower bound: with dilation the first tap inside may lie further on."""
    return np.maximum(np.arange(count, dtype=np.int64) * stride - padding, 0)
