"""Effective scales of layers with weights, and where windows lie."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.errors import ModelError
from edgecompress.graph import DType, Padding, Quantization, Tensor
from edgecompress.numerics.fixedpoint import quantize_multiplier
from edgecompress.numerics.scales import convolution_scales, dense_scales
from edgecompress.numerics.window import pad_before, window_count


def tensor(*scales: float) -> Tensor:
    """An int8 tensor with these float32 scales."""
    exact = tuple(float(np.float32(s)) for s in scales)
    return Tensor(0, "w", (len(scales), 1), DType.INT8, Quantization(exact, (0,) * len(scales), 0 if len(scales) > 1 else None))


def test_a_dense_layer_multiplies_its_scales_in_float32() -> None:
    """TFLM rounds the product of the one weight scale to float32, and does not for one scale a channel."""
    x, w, y = tensor(0.1), tensor(0.003), tensor(0.7)
    rounded = float(np.float32(x.scale) * np.float32(w.scale)) / y.scale
    assert dense_scales(x, w, y, 2) == (quantize_multiplier(rounded),)
    assert quantize_multiplier(rounded) != quantize_multiplier(x.scale * w.scale / y.scale)
    assert dense_scales(x, tensor(0.003, 0.004), y, 2)[0] == quantize_multiplier(x.scale * w.scale / y.scale)


def test_one_weight_scale_serves_every_channel() -> None:
    """A convolution with a single weight scale has it in each channel."""
    assert len(set(convolution_scales(tensor(0.1), tensor(0.003), tensor(0.7), 5))) == 1
    with pytest.raises(ModelError, match="expected 1 or 5 weight scales, came 2"):
        convolution_scales(tensor(0.1), tensor(0.003, 0.1), tensor(0.7), 5)


@pytest.mark.parametrize(
    ("padding", "size", "filter_size", "stride", "dilation", "expected"),
    [
        (Padding.SAME, 5, 3, 1, 1, (5, 1)),
        (Padding.SAME, 4, 3, 2, 1, (2, 0)),
        (Padding.SAME, 5, 2, 1, 1, (5, 0)),
        (Padding.SAME, 7, 3, 1, 2, (7, 2)),
        (Padding.SAME, 2, 1, 3, 1, (1, 0)),
        (Padding.VALID, 5, 3, 2, 1, (2, 0)),
        (Padding.VALID, 2, 3, 1, 1, (0, 0)),
    ],
)
def test_windows(padding: Padding, size: int, filter_size: int, stride: int, dilation: int, expected: tuple[int, int]) -> None:
    """Counts and padding are TensorFlow's, the odd element of SAME at the end."""
    count = window_count(padding, size, filter_size, stride, dilation)
    assert (count, pad_before(padding, size, filter_size, stride, dilation)) == expected
