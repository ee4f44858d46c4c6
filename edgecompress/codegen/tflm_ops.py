"""Which ops TensorFlow Lite Micro has, and how a resolver registers each.

Source: tensorflow/lite/micro/micro_mutable_op_resolver.h and kernels/*.h at tflite-micro 90b983c2. Ops that need more than a registration
(resource variables, further graphs, the signal library) are left out. TFLM looks at no op versions; its kernels check types, scales and
shapes when the interpreter is made or when it runs, and what they are known to refuse is in `tflm_types` and `tflm_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecompress.codegen.tflm_rules import RULES, hybrid
from edgecompress.codegen.tflm_types import accepted_types, data_tensor
from edgecompress.graph import DType, Graph, Op

# The op's name in `Add<name>`.
_ADD_NAMES: dict[str, str] = {
    "ABS": "Abs",
    "ADD": "Add",
    "ADD_N": "AddN",
    "ARG_MAX": "ArgMax",
    "ARG_MIN": "ArgMin",
    "AVERAGE_POOL_2D": "AveragePool2D",
    "BATCH_MATMUL": "BatchMatMul",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNd",
    "BROADCAST_ARGS": "BroadcastArgs",
    "BROADCAST_TO": "BroadcastTo",
    "CAST": "Cast",
    "CEIL": "Ceil",
    "CONCATENATION": "Concatenation",
    "CONV_2D": "Conv2D",
    "COS": "Cos",
    "CUMSUM": "CumSum",
    "CUSTOM:CIRCULAR_BUFFER": "CircularBuffer",
    "CUSTOM:TFLite_Detection_PostProcess": "DetectionPostprocess",
    "CUSTOM:ethos-u": "EthosU",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "DEPTH_TO_SPACE": "DepthToSpace",
    "DEQUANTIZE": "Dequantize",
    "DIV": "Div",
    "DYNAMIC_UPDATE_SLICE": "DynamicUpdateSlice",
    "ELU": "Elu",
    "EMBEDDING_LOOKUP": "EmbeddingLookup",
    "EQUAL": "Equal",
    "EXP": "Exp",
    "EXPAND_DIMS": "ExpandDims",
    "FILL": "Fill",
    "FLOOR": "Floor",
    "FLOOR_DIV": "FloorDiv",
    "FLOOR_MOD": "FloorMod",
    "FULLY_CONNECTED": "FullyConnected",
    "GATHER": "Gather",
    "GATHER_ND": "GatherNd",
    "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterEqual",
    "HARD_SWISH": "HardSwish",
    "L2_NORMALIZATION": "L2Normalization",
    "L2_POOL_2D": "L2Pool2D",
    "LEAKY_RELU": "LeakyRelu",
    "LESS": "Less",
    "LESS_EQUAL": "LessEqual",
    "LOG": "Log",
    "LOGICAL_AND": "LogicalAnd",
    "LOGICAL_NOT": "LogicalNot",
    "LOGICAL_OR": "LogicalOr",
    "LOGISTIC": "Logistic",
    "LOG_SOFTMAX": "LogSoftmax",
    "MAXIMUM": "Maximum",
    "MAX_POOL_2D": "MaxPool2D",
    "MEAN": "Mean",
    "MINIMUM": "Minimum",
    "MIRROR_PAD": "MirrorPad",
    "MUL": "Mul",
    "NEG": "Neg",
    "NOT_EQUAL": "NotEqual",
    "PACK": "Pack",
    "PAD": "Pad",
    "PADV2": "PadV2",
    "PRELU": "Prelu",
    "QUANTIZE": "Quantize",
    "REDUCE_ALL": "ReduceAll",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "RELU": "Relu",
    "RELU6": "Relu6",
    "RESHAPE": "Reshape",
    "RESIZE_BILINEAR": "ResizeBilinear",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighbor",
    "REVERSE_V2": "ReverseV2",
    "ROUND": "Round",
    "RSQRT": "Rsqrt",
    "SELECT_V2": "SelectV2",
    "SHAPE": "Shape",
    "SIN": "Sin",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNd",
    "SPACE_TO_DEPTH": "SpaceToDepth",
    "SPLIT": "Split",
    "SPLIT_V": "SplitV",
    "SQRT": "Sqrt",
    "SQUARE": "Square",
    "SQUARED_DIFFERENCE": "SquaredDifference",
    "SQUEEZE": "Squeeze",
    "STRIDED_SLICE": "StridedSlice",
    "SUB": "Sub",
    "SUM": "Sum",
    "SVDF": "Svdf",
    "TANH": "Tanh",
    "TRANSPOSE": "Transpose",
    "TRANSPOSE_CONV": "TransposeConv",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
    "UNPACK": "Unpack",
    "ZEROS_LIKE": "ZerosLike",
}

# Ops with a Register_<op>_INT8 that brings the int8 kernel only. Without CMSIS-NN it is the ordinary registration under another name.
_INT8_KERNELS = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "BATCH_MATMUL",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MINIMUM",
        "MUL",
        "PAD",
        "SOFTMAX",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    }
)

# Headers of those that micro_mutable_op_resolver.h does not include.
_INT8_HEADERS = {"PAD": "tensorflow/lite/micro/kernels/pad.h", "TRANSPOSE": "tensorflow/lite/micro/kernels/transpose.h"}


@dataclass(frozen=True)
class ResolverCall:
    """How one kind of op is registered.

    Attributes:
        method: of the resolver, `AddConv2D`.
        int8_registration: the function that registers the int8 kernel only; empty where there is none, or where it would not do.
        int8_header: what declares it, when the resolver's own header does not; else empty.
    """

    method: str
    int8_registration: str = ""
    int8_header: str = ""


def resolver_calls(graph: Graph) -> tuple[ResolverCall, ...]:
    """One call per kind of op, in order of first use. Every kind must be one that TFLM has (`refusal` is None)."""
    kinds = dict.fromkeys(op.kind for op in graph.ops)
    return tuple(_resolver_call(graph, kind) for kind in kinds)


def _resolver_call(graph: Graph, kind: str) -> ResolverCall:
    method = f"Add{_ADD_NAMES[kind]}"
    if kind in _INT8_KERNELS and all(_is_int8(graph, op) for op in graph.ops if op.kind == kind):
        return ResolverCall(method, f"Register_{kind}_INT8", _INT8_HEADERS.get(kind, ""))
    return ResolverCall(method)


def _is_int8(graph: Graph, op: Op) -> bool:
    tensors = [t for t in (*graph.op_inputs(op), *graph.op_outputs(op)) if t is not None]
    return all(t.dtype is DType.INT8 or (t.is_constant and t.dtype in (DType.INT32, DType.INT64)) for t in tensors)


def refusal(graph: Graph, op: Op) -> tuple[str, str] | None:
    """Why TFLM does not run this op, or not rightly, and the way out; None when nothing that is known here speaks against it."""
    if op.kind not in _ADD_NAMES:
        return "TensorFlow Lite Micro has no such op", "replace this layer with one that `edgecompress compress` converts to int8"
    if any(t is not None and t.dtype is DType.OTHER for t in (*graph.op_inputs(op), *graph.op_outputs(op))):
        return "a tensor has a type that cores have no use for", "convert the model to int8"
    found = hybrid(graph, op) or _type_refusal(graph, op)
    return found or next((refused for rule in RULES if (refused := rule(graph, op)) is not None), None)


def _type_refusal(graph: Graph, op: Op) -> tuple[str, str] | None:
    data, accepted = data_tensor(graph, op), accepted_types(op.kind)
    if data is None or accepted is None or data.dtype in accepted:
        return None
    if op.kind == "DEQUANTIZE" and data.dtype is DType.FLOAT16:
        return "float16 weights are not supported", "convert the model to full int8, or to float32"
    known = ", ".join(sorted(dtype.value for dtype in accepted))
    return f"there is no kernel for {data.dtype.value}, only for {known}", "convert the model to full int8"
