"""What lowerings check about an op before they believe it, and the error that says what is missing.

The files are checked for sane indices and sizes when they are read; here stand the rules of the int8 kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgecompress.codegen.program import Alias, Names, Step
from edgecompress.errors import UnsupportedOpError
from edgecompress.graph import Activation, DType, Graph, Op, Tensor
from edgecompress.numerics.affine import INT8_MAX, INT8_MIN, INT8_RANGE, Clamp, activation_clamp

Lowering = Callable[[Graph, Op, Names], Step | Alias]
FastLowering = Callable[[Graph, Op, Names, Step], Step | None]
"""Gets the portable step of an op; None where the faster kernel cannot take it."""

INT8_HINT = "convert the model to full int8 (edgecompress compress), or use --engine tflm"
INT16_HINT = "convert the model with symmetric int16 activations"
TFLM_HINT = "use --engine tflm"

_INT8_ONLY = frozenset({DType.INT8})
_INT8_OR_INT4 = frozenset({DType.INT8, DType.INT4})
_CLAMPING = frozenset({Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1})


def layer_name(graph: Graph, op: Op) -> str:
    """What a user calls this op: the name of its first output."""
    return graph.tensor(op.outputs[0]).name if op.outputs else f"op {op.index}"


def unsupported(graph: Graph, op: Op, reason: str, hint: str = TFLM_HINT) -> UnsupportedOpError:
    """The error for an op that the kernels cannot compute: layer, kind, version and why."""
    return UnsupportedOpError(f"{layer_name(graph, op)}: {op.kind} version {op.version} (op {op.index}): {reason}", hint=hint)


def input_tensor(graph: Graph, op: Op, position: int) -> Tensor:
    """The op's input at `position`, which must be there.

    Raises:
        UnsupportedOpError: it is left out.
    """
    tensor = optional_input(graph, op, position)
    if tensor is None:
        raise unsupported(graph, op, f"expected an input {position}, came {len(op.inputs)} inputs")
    return tensor


def optional_input(graph: Graph, op: Op, position: int) -> Tensor | None:
    """The op's input at `position`, or None when it is left out."""
    if position >= len(op.inputs) or op.inputs[position] < 0:
        return None
    return graph.tensor(op.inputs[position])


def output_tensor(graph: Graph, op: Op, position: int = 0) -> Tensor:
    """The op's output at `position`.

    Raises:
        UnsupportedOpError: there is none.
    """
    if position >= len(op.outputs):
        raise unsupported(graph, op, f"expected an output {position}, came {len(op.outputs)} outputs")
    return graph.tensor(op.outputs[position])


def require_int8(graph: Graph, op: Op, *tensors: Tensor) -> None:
    """Every tensor must be int8, and those that are activations must have one scale.

    Raises:
        UnsupportedOpError: a float, hybrid, int16 or int4 model; the tensor and its type are named.
    """
    _require_types(graph, op, tensors, _INT8_ONLY)


def require_weights(graph: Graph, op: Op, weights: Tensor) -> None:
    """Weights must be int8, or constants of int4, which are computed as int8.

    Raises:
        UnsupportedOpError: as `require_int8`.
    """
    _require_types(graph, op, (weights,), _INT8_OR_INT4 if weights.is_constant else _INT8_ONLY)


def _require_types(graph: Graph, op: Op, tensors: Sequence[Tensor], types: frozenset[DType]) -> None:
    for tensor in tensors:
        if tensor.dtype not in types:
            raise unsupported(graph, op, f"expected int8 tensors, came {tensor.dtype.value} in {tensor.name}", INT8_HINT)
        if tensor.quantization is None:
            raise unsupported(graph, op, f"tensor {tensor.name} has no scale and zero point", INT8_HINT)
        if not tensor.is_constant:
            _require_single_scale(graph, op, tensor)


def _require_single_scale(graph: Graph, op: Op, tensor: Tensor) -> None:
    quantization = tensor.quantization
    if quantization is None or len(quantization.scales) != 1 or len(quantization.zero_points) != 1:
        raise unsupported(graph, op, f"expected one scale and zero point for {tensor.name}", INT8_HINT)
    if not INT8_MIN <= tensor.zero_point <= INT8_MAX:
        raise unsupported(graph, op, f"expected a zero point in [-128, 127] for {tensor.name}, came {tensor.zero_point}", INT8_HINT)


def constant_input(graph: Graph, op: Op, position: int) -> Tensor:
    """The op's input at `position`, which must be a constant of the file (axes, paddings, slopes).

    Raises:
        UnsupportedOpError: it is left out or computed by the model.
    """
    tensor = input_tensor(graph, op, position)
    if not tensor.is_constant:
        raise unsupported(graph, op, f"expected a constant as input {position}, came the computed tensor {tensor.name}")
    return tensor


def require_int16(graph: Graph, op: Op, *tensors: Tensor) -> None:
    """Every tensor must be int16 with one scale and zero point 0.

    Raises:
        UnsupportedOpError: the tensor and what it has are named.
    """
    for tensor in tensors:
        if tensor.dtype is not DType.INT16:
            raise unsupported(graph, op, f"expected int16 tensors, came {tensor.dtype.value} in {tensor.name}", INT8_HINT)
        quantization = tensor.quantization
        if quantization is None or len(quantization.scales) != 1 or quantization.zero_points != (0,):
            raise unsupported(graph, op, f"expected one scale and zero point 0 for {tensor.name}, came {quantization}", INT16_HINT)


def fused_clamp(graph: Graph, op: Op, activation: Activation, output: Tensor, limits: Clamp = INT8_RANGE) -> Clamp:
    """The clamp of the output's counts, within `limits`, by the fused activation.

    Raises:
        UnsupportedOpError: an activation that is more than a clamp.
    """
    if activation not in _CLAMPING:
        raise unsupported(graph, op, f"fused activation {activation.value} is not among none, relu, relu6, relu_n1_to_1")
    return activation_clamp(activation, output.scale, output.zero_point, limits)
