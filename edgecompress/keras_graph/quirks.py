"""Weights nudged past what TensorFlow's converter gets wrong (seen with TensorFlow 2.21).

* A bias whose entries are all the same number is stored once, and the converter turns that one number into one int32 for all channels,
  although each channel has a scale of its own: all but one channel are then wrong by the ratio of their scales.
* A transposed convolution whose bias is all zeros loses the bias, and then the ReLU behind it is not fused and both stay float.

One entry moved to the next float32 avoids both, and is far below half an int8 step.
"""

import numpy as np
from numpy.typing import NDArray

from edgecompress.keras_graph.network import Network
from edgecompress.keras_graph.weighted import bias_of, is_transposed, is_weighted, kernel_of, output_channels, set_kernel_and_bias

# Rounds to 0 in any int32 bias.
_ALMOST_ZERO = 1e-20


def make_biases_differ(network: Network) -> None:
    """No layer keeps a bias of equal nonzero entries, no transposed convolution one of zeros."""
    for operator in network.operators():
        if not is_weighted(operator) or output_channels(operator) == 0:
            continue
        bias = bias_of(operator).astype(np.float32)
        if is_transposed(operator) and not np.any(bias):
            set_kernel_and_bias(operator, kernel_of(operator), _first_moved(bias, _ALMOST_ZERO))
        elif len(bias) > 1 and bias[0] != 0 and np.all(bias == bias[0]):
            set_kernel_and_bias(operator, kernel_of(operator), _first_moved(bias, float(np.nextafter(bias[0], np.float32(0)))))


def _first_moved(bias: NDArray[np.float32], value: float) -> NDArray[np.float32]:
    moved = bias.copy()
    moved[0] = value
    return moved
