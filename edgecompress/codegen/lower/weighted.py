"""What layers with weights share: weights, bias and scales as constants, and the bound on their sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecompress.codegen.lower.rules import INT8_HINT, optional_input, unsupported
from edgecompress.codegen.program import Constant, ConstantArg, Names, TensorArg
from edgecompress.graph import DType, Graph, Op, Tensor
from edgecompress.numerics.affine import INT8_MAX, INT8_MIN
from edgecompress.numerics.fixedpoint import FixedScale

_INT32_MAX = (1 << 31) - 1


def require_symmetric(graph: Graph, op: Op, weights: Tensor, channel_axis: int) -> None:
    """The weights must have zero point 0 in every channel (TFLM takes no other into account), and channels must be outputs.

    Raises:
        UnsupportedOpError: they have not.
    """
    quantization = weights.quantization
    if quantization is None or any(quantization.zero_points):
        raise unsupported(graph, op, f"expected weights with zero point 0 in {weights.name}", INT8_HINT)
    if quantization.axis not in (None, channel_axis):
        raise unsupported(
            graph, op, f"expected scales along axis {channel_axis} of {weights.name}, came axis {quantization.axis}", INT8_HINT
        )


def weights_argument(names: Names, weights: Tensor, axes: str) -> ConstantArg | TensorArg:
    """The weights as a constant; those that the model computes are read from their buffer."""
    if weights.data is None:
        return TensorArg(weights.index)
    comment = "weights " + "".join(f"[{n}]" for n in weights.shape) + f" ({axes})"
    return ConstantArg(Constant(names.constant("weights"), "int8_t", weights.data.astype(np.int8), comment))


def bias_argument(graph: Graph, op: Op, names: Names, position: int, channels: int) -> ConstantArg:
    """The bias as a constant, or NULL when it is left out.

    Raises:
        UnsupportedOpError: it is computed by the model, not int32, or has not one value a channel.
    """
    bias = optional_input(graph, op, position)
    if bias is None:
        return ConstantArg(None)
    if bias.data is None:
        raise unsupported(graph, op, f"expected a constant bias, came the computed tensor {bias.name}")
    if bias.dtype is not DType.INT32 or bias.elements != channels:
        raise unsupported(
            graph, op, f"expected {channels} int32 biases in {bias.name}, came {bias.elements} of {bias.dtype.value}", INT8_HINT
        )
    return ConstantArg(Constant(names.constant("bias"), "int32_t", bias.data.astype(np.int32), f"bias [{channels}]"))


def bias_values(graph: Graph, op: Op) -> NDArray[np.int32] | None:
    """The constant bias of a layer that `bias_argument` took, or None when it is left out."""
    bias = optional_input(graph, op, 2)
    return None if bias is None or bias.data is None else bias.data.reshape(-1).astype(np.int32)


def scale_argument(names: Names, scales: Sequence[FixedScale]) -> Constant:
    """Fixed-point scales as an array of ec_scale."""
    rows = np.array([(s.multiplier, s.shift) for s in scales], dtype=np.int64).reshape(-1, 2)
    return Constant(names.constant("scales"), "ec_scale", rows, f"scales [{len(rows)}]: multiplier, shift")


def check_sums(graph: Graph, op: Op, weights: Tensor, inputs: Tensor, channel_axis: int) -> None:
    """No sum of `weight * (in - zero_point)` may leave int32, whatever the input.

    Raises:
        UnsupportedOpError: it could; that takes more than 65,535 products of large weights.
    """
    largest_input = max(inputs.zero_point - INT8_MIN, INT8_MAX - inputs.zero_point)
    products = weights.elements // max(weights.shape[channel_axis], 1)
    # The kernel takes the weights' zero point out of a finished sum, so both parts count.
    zero_point = max((abs(z) for z in weights.quantization.zero_points), default=0) if weights.quantization else 0
    if weights.data is None:
        largest_sum = products * -INT8_MIN
    else:
        others = tuple(axis for axis in range(len(weights.shape)) if axis != channel_axis)
        largest_sum = int(np.abs(weights.data.astype(np.int64)).sum(axis=others).max(initial=0))
    bound = (largest_sum + products * zero_point) * largest_input
    if bound > _INT32_MAX:
        raise unsupported(graph, op, f"its sums may reach {bound}, beyond int32", "make the layer smaller, or split it")
