"""Fixed-point scales of layers that multiply by weights: `input scale * weight scale / output scale`.

TFLM takes the product in double for convolutions and per-channel dense layers, and in float32 for per-tensor dense layers; bytes depend on
it. Sources: PopulateConvolutionQuantizationParams and GetQuantizedConvolutionMultipler in tensorflow/lite/kernels/kernel_util.cc, and
CalculateOpDataFullyConnected in tensorflow/lite/micro/kernels/fully_connected_common.cc.
"""

from __future__ import annotations

import numpy as np

from edgecompress.errors import ModelError
from edgecompress.graph import Quantization, Tensor
from edgecompress.numerics.fixedpoint import FixedScale, quantize_multiplier


def convolution_scales(inputs: Tensor, weights: Tensor, output: Tensor, channels: int) -> tuple[FixedScale, ...]:
    """One scale per output channel of CONV_2D, DEPTHWISE_CONV_2D or TRANSPOSE_CONV, also when the weights have a single one.

    Raises:
        ModelError: the weights have no quantization, or neither 1 nor `channels` scales.
    """
    scales = _weight_quantization(weights, channels).scales
    per_channel = scales if len(scales) == channels else scales * channels
    return tuple(quantize_multiplier(inputs.scale * scale / output.scale) for scale in per_channel)


def dense_scales(inputs: Tensor, weights: Tensor, output: Tensor, channels: int) -> tuple[FixedScale, ...]:
    """The scales of FULLY_CONNECTED: one for all outputs, or one per output when the weights are quantized per channel.

    Raises:
        ModelError: the weights have no quantization, or neither 1 nor `channels` scales.
    """
    scales = _weight_quantization(weights, channels).scales
    if len(scales) > 1:
        return convolution_scales(inputs, weights, output, channels)
    product = float(np.float32(inputs.scale) * np.float32(scales[0]))
    return (quantize_multiplier(product / output.scale),)


def _weight_quantization(weights: Tensor, channels: int) -> Quantization:
    quantization = weights.quantization
    count = len(quantization.scales) if quantization is not None else 0
    if quantization is None or count not in (1, channels):
        raise ModelError(f"{weights.name}: expected 1 or {channels} weight scales, came {count}")
    return quantization
