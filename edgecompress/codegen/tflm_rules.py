"""What TensorFlow Lite Micro's kernels refuse besides types, or take and compute wrongly: scales, ranks, operands that are no constants.

Sources as in `tflm_types`. Each rule is a function of a graph and an op that says why the op is refused and what to do, or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from edgecompress.codegen.tflm_types import CAST_TYPES, QUANTIZE_TYPES
from edgecompress.graph import DType, Graph, Op, Quantization, Tensor

Refusal = tuple[str, str]
"""Why, and what to do."""

_INT8 = "convert the model to full int8"
_CONSTANT = "export the model with fixed shapes, so that this operand is a constant"

# Weights along whose output channels the scales may differ: input index, and the axis of the channels.
_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}
_WEIGHTED = frozenset({*_CHANNEL_AXIS, "FULLY_CONNECTED"})
_HYBRID = _WEIGHTED | {"BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM"}
_QUANTIZED = frozenset({DType.INT4, DType.INT8, DType.UINT8, DType.INT16})
# What weights an input of each type goes with; TRANSPOSE_CONV has no int4.
_WEIGHT_TYPES = {DType.INT8: frozenset({DType.INT8, DType.INT4}), DType.INT16: frozenset({DType.INT8})}

# Operands that the kernels read when the interpreter is made: input index by op.
_CONSTANTS = {
    "BROADCAST_TO": (1,),
    "EXPAND_DIMS": (1,),
    "FILL": (0,),
    "PAD": (1,),
    "PADV2": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SPLIT": (0,),
    "SPLIT_V": (1, 2),
    "STRIDED_SLICE": (1, 2, 3),
    "TRANSPOSE": (1,),
}

# Fewest and most dimensions.
_RANKS = {
    "BATCH_MATMUL": (2, 5),
    "BATCH_TO_SPACE_ND": (3, 4),
    "BROADCAST_TO": (0, 5),
    "DEPTH_TO_SPACE": (4, 4),
    "PAD": (0, 5),
    "PADV2": (0, 5),
    "RESIZE_BILINEAR": (4, 4),
    "RESIZE_NEAREST_NEIGHBOR": (4, 4),
    "SLICE": (0, 5),
    "SPACE_TO_BATCH_ND": (3, 4),
    "SPACE_TO_DEPTH": (4, 4),
    "STRIDED_SLICE": (0, 5),
    "TRANSPOSE": (0, 5),
}

_SAME_SCALES = frozenset({"ADD_N", "AVERAGE_POOL_2D", "CONCATENATION", "MAX_POOL_2D", "REDUCE_MAX", "REDUCE_MIN"})
_SYMMETRIC_INT16 = frozenset(
    {"ABS", "BATCH_MATMUL", "CONCATENATION", "LOGISTIC", "MUL", "RELU", "RELU6", "SOFTMAX", "SQUARED_DIFFERENCE", "TANH"}
)
# What the kernels write whatever the file says: scale and zero point of an int8 output.
_FIXED_OUTPUT = {"LOG_SOFTMAX": (16 / 256, 127), "SOFTMAX": (1 / 256, -128)}
_MAX_CONCATENATED = 10
# Of the output's scale (kernel_util.cc, GetQuantizedConvolutionMultipler).
_BIAS_TOLERANCE = 0.02


def hybrid(graph: Graph, op: Op) -> Refusal | None:
    """Float activations with integer weights."""
    inputs = _inputs(graph, op)
    floats = any(t.dtype is DType.FLOAT32 and not t.is_constant for t in inputs)
    if op.kind in _HYBRID and floats and any(t.is_constant and t.dtype in _QUANTIZED for t in inputs):
        return "float activations with quantized weights (dynamic range) are not supported", _INT8
    return None


def weight_types(graph: Graph, op: Op) -> Refusal | None:
    """Weights of a type that does not go with the input's."""
    inputs = graph.op_inputs(op)
    if op.kind not in _WEIGHTED or len(inputs) < 2 or inputs[1] is None:
        return None
    data, weights = inputs[2 if op.kind == "TRANSPOSE_CONV" and len(inputs) > 2 else 0], inputs[1]
    if data is None or data.dtype is DType.FLOAT32:
        return None
    several = weights.quantization is not None and len(weights.quantization.scales) > 1
    if weights.dtype is DType.INT4 and (op.kind == "TRANSPOSE_CONV" or (op.kind == "FULLY_CONNECTED" and several)):
        kind = "with a scale for each channel " if several else ""
        return f"int4 weights {kind}are not supported here", "keep this layer's weights at 8 bits"
    if weights.dtype not in _WEIGHT_TYPES.get(data.dtype, frozenset()):
        return f"{weights.dtype.value} weights do not go with an input of {data.dtype.value}", _INT8
    return None


def weight_scales(graph: Graph, op: Op) -> Refusal | None:
    """Scales of weights: one, or one for each output channel; zero points of 0 where the kernels take them for 0."""
    inputs = graph.op_inputs(op)
    if op.kind not in _WEIGHTED or len(inputs) < 2 or inputs[1] is None or inputs[1].quantization is None:
        return None
    weights, quantization = inputs[1], inputs[1].quantization
    axis = _CHANNEL_AXIS.get(op.kind, 0)
    if len(quantization.scales) not in (1, weights.shape[axis]) or quantization.axis not in (None, axis):
        what = f"its weights have {len(quantization.scales)} scales; expected 1, or {weights.shape[axis]} along axis {axis}"
        return what, "convert the model again, with one scale for each output channel"
    if any(quantization.zero_points):
        return "its weights have a zero point, which the kernels take for 0", "convert the model with symmetric weights"
    return None


def bias_scale(graph: Graph, op: Op) -> Refusal | None:
    """A dense layer with one scale of weights: the bias' scale is that of the products."""
    inputs, outputs = graph.op_inputs(op), graph.op_outputs(op)
    if op.kind != "FULLY_CONNECTED" or len(inputs) < 3 or inputs[2] is None or not outputs:
        return None
    scales = [_one_scale(tensor) for tensor in (inputs[0], inputs[1], outputs[0])]
    if inputs[0] is None or inputs[0].dtype not in _QUANTIZED or None in scales:
        return None
    data, weights, output = (scale or 0.0 for scale in scales)
    own = _one_scale(inputs[2]) or 0.0
    if abs(data * weights - own) <= _BIAS_TOLERANCE * output:
        return None
    return f"its bias has the scale {own:g}; expected {data * weights:g}, the input's times the weights'", "convert the model again"


def per_tensor(graph: Graph, op: Op) -> Refusal | None:
    """Several scales where the kernels read the first one only."""
    for position, tensor in enumerate(graph.op_inputs(op)):
        # Weights have a rule of their own, and nobody reads a bias' scales.
        if tensor is not None and not (op.kind in _WEIGHTED and tensor.is_constant and position > 0) and _per_channel(tensor):
            return f"{tensor.name} has {len(_quantization(tensor).scales)} scales; only weights of convolutions and dense layers may", _INT8
    for tensor in graph.op_outputs(op):
        if _per_channel(tensor):
            return f"{tensor.name} has {len(_quantization(tensor).scales)} scales; an output has one", _INT8
    return None


def zero_points(graph: Graph, op: Op) -> Refusal | None:
    """int16 tensors are symmetric."""
    if op.kind not in _SYMMETRIC_INT16:
        return None
    for tensor in (*_inputs(graph, op), *graph.op_outputs(op)):
        if tensor.dtype is DType.INT16 and tensor.quantization is not None and any(tensor.quantization.zero_points):
            if op.kind == "SOFTMAX" and _inputs(graph, op)[0].dtype is DType.INT8:
                continue
            return f"{tensor.name} is int16 with a zero point; expected 0", "convert the model with symmetric int16 activations"
    return None


def fixed_outputs(graph: Graph, op: Op) -> Refusal | None:
    """Outputs whose scale and zero point are given by the kernel."""
    inputs, outputs = _inputs(graph, op), graph.op_outputs(op)
    if not inputs or not outputs or inputs[0].dtype is not DType.INT8 or outputs[0].dtype is not DType.INT8:
        return None
    quantization = outputs[0].quantization
    if op.kind == "LOGISTIC" and quantization is not None and quantization.zero_points[0] != -128:
        return f"its output has the zero point {quantization.zero_points[0]}; expected -128", "convert the model again"
    if op.kind in _FIXED_OUTPUT and quantization is not None:
        scale, zero_point = _FIXED_OUTPUT[op.kind]
        if quantization.scales[0] != scale or quantization.zero_points[0] != zero_point:
            found = f"scale {quantization.scales[0]:g}, zero point {quantization.zero_points[0]}"
            return f"its output has {found}; expected {scale:g} and {zero_point}", "convert the model again"
    return None


def same_scales(graph: Graph, op: Op) -> Refusal | None:
    """Ops that move or compare quantized values without scaling them."""
    outputs = graph.op_outputs(op)
    if op.kind not in _SAME_SCALES or not outputs or outputs[0].dtype is not DType.INT8:
        return None
    wanted = outputs[0].quantization
    for tensor in _inputs(graph, op):
        own = tensor.quantization
        if tensor.dtype is not DType.INT8 or wanted is None or own is None:
            continue
        if not _alike(own, wanted):
            return f"{tensor.name} and the output have different scales or zero points; expected the same", "convert the model again"
    return None


def constants(graph: Graph, op: Op) -> Refusal | None:
    """Operands that must be known when the interpreter is made."""
    inputs = graph.op_inputs(op)
    for index in _CONSTANTS.get(op.kind, ()):
        tensor = inputs[index] if index < len(inputs) else None
        if tensor is not None and not tensor.is_constant:
            return f"{tensor.name} is computed by the model; expected a constant", _CONSTANT
    return None


def ranks(graph: Graph, op: Op) -> Refusal | None:
    """Numbers of dimensions, and of inputs."""
    inputs = _inputs(graph, op)
    if op.kind == "CONCATENATION" and len(inputs) > _MAX_CONCATENATED:
        return f"it joins {len(inputs)} tensors; at most {_MAX_CONCATENATED} are supported", "join them in several steps"
    if op.kind not in _RANKS or not inputs:
        return None
    fewest, most = _RANKS[op.kind]
    rank = len(inputs[0].shape)
    if fewest <= rank <= most:
        return None
    expected = str(most) if fewest == most else f"{fewest} to {most}"
    return f"its input has {rank} dimensions; expected {expected}", "reshape around this layer, or merge dimensions"


def conversions(graph: Graph, op: Op) -> Refusal | None:
    """Types that QUANTIZE and CAST do not convert to."""
    inputs, outputs = _inputs(graph, op), graph.op_outputs(op)
    if op.kind not in ("QUANTIZE", "CAST") or not inputs or not outputs:
        return None
    possible = QUANTIZE_TYPES.get(inputs[0].dtype, frozenset()) if op.kind == "QUANTIZE" else CAST_TYPES
    if outputs[0].dtype in possible:
        return None
    return f"it converts {inputs[0].dtype.value} to {outputs[0].dtype.value}, for which there is no kernel", _INT8


RULES: tuple[Callable[[Graph, Op], Refusal | None], ...] = (
    weight_types,
    weight_scales,
    bias_scale,
    per_tensor,
    zero_points,
    fixed_outputs,
    same_scales,
    constants,
    ranks,
    conversions,
)


def _inputs(graph: Graph, op: Op) -> list[Tensor]:
    return [tensor for tensor in graph.op_inputs(op) if tensor is not None]


def _per_channel(tensor: Tensor) -> bool:
    return tensor.dtype in _QUANTIZED and tensor.quantization is not None and len(tensor.quantization.scales) > 1


def _one_scale(tensor: Tensor | None) -> float | None:
    quantization = None if tensor is None else tensor.quantization
    return quantization.scales[0] if quantization is not None and len(quantization.scales) == 1 else None


def _quantization(tensor: Tensor) -> Quantization:
    if tensor.quantization is None:
        raise ValueError(f"tensor {tensor.name} is not quantized")
    return tensor.quantization


def _alike(a: Quantization, b: Quantization) -> bool:
    # Pooling allows 1e-6 between scales; converters copy them, so nothing real lies between that and equality.
    return a.zero_points == b.zero_points and all(
        math.isclose(x, y, abs_tol=1e-6, rel_tol=0) for x, y in zip(a.scales, b.scales, strict=True)
    )
