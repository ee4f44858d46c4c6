"""Element types that TensorFlow Lite Micro's kernels take, op by op.

Read in tensorflow/lite/micro/kernels/*.cc at tflite-micro 90b983c2 (its reference kernels; CMSIS-NN's take no more), and held against the
host interpreter by tests/host/test_tflm_preflight.py. TFLM looks at no op versions: what a newer version of an op adds shows in types,
shapes and constants.
"""

from __future__ import annotations

from edgecompress.graph import DType, Graph, Op, Tensor

_F, _I8, _I16, _I32, _I64 = DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64
_U8, _BOOL = DType.UINT8, DType.BOOL

FLOAT = frozenset({_F})
FLOAT_INT8 = frozenset({_F, _I8})
FLOAT_INT8_INT16 = frozenset({_F, _I8, _I16})
BOOLEAN = frozenset({_BOOL})
_WITH_INT32 = FLOAT_INT8_INT16 | {_I32}
_COMPARED = FLOAT_INT8 | {_I32, _I64}

# What the op works on: its first input unless `_DATA_INPUT` says otherwise.
_TYPES: dict[str, frozenset[DType]] = {
    "ABS": FLOAT_INT8_INT16,
    "ADD": _WITH_INT32,
    "ADD_N": FLOAT_INT8,
    "ARG_MAX": FLOAT_INT8,
    "ARG_MIN": FLOAT_INT8,
    "AVERAGE_POOL_2D": FLOAT_INT8_INT16,
    "BATCH_MATMUL": FLOAT_INT8_INT16,
    "BATCH_TO_SPACE_ND": FLOAT_INT8,
    "BROADCAST_ARGS": frozenset({_I32, _I64}),
    "CAST": _WITH_INT32 | {_BOOL},
    "CEIL": FLOAT,
    "CONCATENATION": _WITH_INT32 | {_I64, _BOOL},
    "CONV_2D": FLOAT_INT8_INT16,
    "COS": FLOAT,
    "CUMSUM": FLOAT_INT8,
    "CUSTOM:CIRCULAR_BUFFER": frozenset({_I8}),
    "DEPTHWISE_CONV_2D": FLOAT_INT8_INT16,
    "DEPTH_TO_SPACE": FLOAT_INT8,
    "DEQUANTIZE": frozenset({_I8, _I16, _U8}),
    "DIV": FLOAT_INT8 | {_I32},
    "DYNAMIC_UPDATE_SLICE": _WITH_INT32,
    "ELU": FLOAT_INT8,
    "EMBEDDING_LOOKUP": FLOAT_INT8,
    "EQUAL": _COMPARED | BOOLEAN,
    "EXP": FLOAT,
    "EXPAND_DIMS": FLOAT_INT8_INT16,
    "FILL": FLOAT_INT8 | {_I32},
    "FLOOR": FLOAT,
    "FLOOR_DIV": FLOAT,
    "FLOOR_MOD": FLOAT,
    "FULLY_CONNECTED": FLOAT_INT8_INT16,
    "GATHER": FLOAT_INT8,
    "GATHER_ND": FLOAT_INT8,
    "GREATER": _COMPARED | {_I16},
    "GREATER_EQUAL": _COMPARED,
    "HARD_SWISH": FLOAT_INT8,
    "L2_NORMALIZATION": FLOAT_INT8,
    "L2_POOL_2D": FLOAT,
    "LEAKY_RELU": FLOAT_INT8_INT16,
    "LESS": _COMPARED,
    "LESS_EQUAL": _COMPARED,
    "LOG": FLOAT,
    "LOGICAL_AND": BOOLEAN,
    "LOGICAL_NOT": BOOLEAN,
    "LOGICAL_OR": BOOLEAN,
    "LOGISTIC": FLOAT_INT8_INT16,
    "LOG_SOFTMAX": FLOAT_INT8,
    "MAXIMUM": _WITH_INT32 | {_I64},
    "MAX_POOL_2D": FLOAT_INT8_INT16,
    "MEAN": FLOAT_INT8_INT16,
    "MINIMUM": _WITH_INT32 | {_I64},
    "MIRROR_PAD": FLOAT_INT8,
    "MUL": _WITH_INT32,
    "NEG": FLOAT,
    "NOT_EQUAL": _COMPARED | BOOLEAN,
    "PACK": _WITH_INT32 | {_I64},
    "PAD": _WITH_INT32,
    "PADV2": _WITH_INT32,
    "PRELU": FLOAT_INT8_INT16,
    "QUANTIZE": _WITH_INT32 | {_U8},
    "REDUCE_ALL": BOOLEAN,
    "REDUCE_MAX": FLOAT_INT8,
    "REDUCE_MIN": FLOAT_INT8,
    "RELU": FLOAT_INT8_INT16,
    "RELU6": FLOAT_INT8_INT16,
    "RESIZE_BILINEAR": FLOAT_INT8,
    "RESIZE_NEAREST_NEIGHBOR": FLOAT_INT8_INT16,
    "REVERSE_V2": _WITH_INT32 | {_I64, _U8, _BOOL},
    "ROUND": FLOAT,
    "RSQRT": FLOAT_INT8,
    "SELECT_V2": FLOAT_INT8_INT16,
    "SIN": FLOAT,
    "SLICE": _WITH_INT32 | BOOLEAN,
    "SOFTMAX": FLOAT_INT8_INT16,
    "SPACE_TO_BATCH_ND": FLOAT_INT8,
    "SPACE_TO_DEPTH": FLOAT_INT8,
    "SPLIT": _WITH_INT32,
    "SPLIT_V": _WITH_INT32,
    "SQRT": FLOAT,
    "SQUARE": FLOAT,
    "SQUARED_DIFFERENCE": _WITH_INT32,
    "STRIDED_SLICE": _WITH_INT32 | BOOLEAN,
    "SUB": _WITH_INT32,
    "SUM": FLOAT_INT8_INT16,
    "SVDF": FLOAT_INT8,
    "TANH": FLOAT_INT8_INT16,
    "TRANSPOSE": FLOAT_INT8_INT16,
    "TRANSPOSE_CONV": FLOAT_INT8_INT16,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": FLOAT_INT8_INT16,
    "UNPACK": _WITH_INT32,
    "ZEROS_LIKE": FLOAT_INT8 | {_I32, _I64},
}

_DATA_INPUT = {"EMBEDDING_LOOKUP": 1, "FILL": 1, "SELECT_V2": 1, "SPLIT": 1, "TRANSPOSE_CONV": 2}

# From what to what QUANTIZE converts.
QUANTIZE_TYPES: dict[DType, frozenset[DType]] = {
    _F: frozenset({_I8, _I16}),
    _I8: frozenset({_I8, _U8, _I16, _I32}),
    _I16: frozenset({_I8, _I16, _I32}),
    _I32: frozenset({_I8, _I16}),
    _U8: frozenset({_I8}),
}
# To what CAST converts.
CAST_TYPES = _WITH_INT32


def data_tensor(graph: Graph, op: Op) -> Tensor | None:
    """The tensor that decides which kernel runs; None where the op has no such input."""
    inputs = graph.op_inputs(op)
    index = _DATA_INPUT.get(op.kind, 0)
    return inputs[index] if index < len(inputs) else None


def accepted_types(kind: str) -> frozenset[DType] | None:
    """The types that an op's kernels take; None for ops that move bytes of any type, and those that check for themselves."""
    return _TYPES.get(kind)
