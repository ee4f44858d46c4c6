"""How a sliding window meets its input: sizes and padding of convolutions and pools.

Source: tensorflow/lite/kernels/padding.h. SAME splits the padding so that the odd element goes to the end.
"""

from __future__ import annotations

from edgecompress.graph import Padding


def window_count(padding: Padding, size: int, filter_size: int, stride: int, dilation: int = 1) -> int:
    """How many windows fit along one dimension: the output's size, in elements; 0 when none does."""
    if padding is Padding.SAME:
        return -(-size // stride)
    return max(0, (size + stride - span(filter_size, dilation)) // stride)


def pad_before(padding: Padding, size: int, filter_size: int, stride: int, dilation: int = 1) -> int:
    """Padded elements before the first one along one dimension."""
    count = window_count(padding, size, filter_size, stride, dilation)
    return max(0, (count - 1) * stride + span(filter_size, dilation) - size) // 2


def span(filter_size: int, dilation: int) -> int:
    """Elements from a window's first tap to its last, both included."""
    return (filter_size - 1) * dilation + 1
