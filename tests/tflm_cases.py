"""Models of one op on one element type, and what TensorFlow Lite Micro's host interpreter says to each: started and ran, or not.

The interpreter may end its process instead of refusing, so each model runs in a fork of one child, which imports it once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tflite_builder import ModelBuilder

TYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "bool")
_QUANTIZED = {"int8": 0, "int16": 0, "uint8": 128}
_SHAPE = (1, 4, 4, 4)

_CHILD = """
import json, os, sys
from tflite_micro.python.tflite_micro import runtime
def run(path):
    interpreter = runtime.Interpreter.from_bytes(open(path, "rb").read(), arena_size=200000)
    interpreter.invoke()
answers = []
for path in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            run(path)
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    answers.append(os.waitpid(child, 0)[1] == 0)
print(json.dumps(answers))
"""


def host_takes(models: Sequence[bytes]) -> list[bool]:
    """Whether the host interpreter starts and runs each model."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, model in enumerate(models):
            paths.append(str(Path(folder) / f"{index}.tflite"))
            Path(paths[-1]).write_bytes(model)
        done = subprocess.run([sys.executable, "-c", _CHILD, json.dumps(paths)], capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout)


class OneOp:
    """A model with one op; `dtype` is what it works on."""

    def __init__(self, dtype: str) -> None:
        self.builder = ModelBuilder()
        self.dtype = dtype
        self._inputs: list[int] = []

    def tensor(self, shape: Sequence[int], dtype: str | None = None, **facts: Any) -> int:
        dtype = dtype or self.dtype
        if dtype in _QUANTIZED and "scale" not in facts:
            facts = {"scale": 0.1, "zero_point": _QUANTIZED[dtype]} | facts
        return self.builder.tensor(shape, dtype, **facts)

    def input(self, shape: Sequence[int] = _SHAPE, dtype: str | None = None, **facts: Any) -> int:
        self._inputs.append(self.tensor(shape, dtype, **facts))
        return self._inputs[-1]

    def constant(self, values: Any, dtype: str = "int32", **facts: Any) -> int:
        return self.tensor(np.asarray(values).shape, dtype, data=values, **facts)

    def build(self, kind: str, inputs: Sequence[int], outputs: Sequence[int] | int, **options: Any) -> bytes:
        outputs = [outputs] if isinstance(outputs, int) else outputs
        self.builder.op(kind, inputs, outputs, **options)
        self.builder.inputs(*self._inputs)
        self.builder.outputs(*outputs)
        return self.builder.build()


Maker = Callable[[OneOp, str], bytes]

_OUTPUTS = {
    ("SOFTMAX", "int8"): (1 / 256, -128),
    ("SOFTMAX", "int16"): (1 / 32768, 0),
    ("LOGISTIC", "int8"): (1 / 256, -128),
    ("LOGISTIC", "int16"): (1 / 32768, 0),
    ("LOG_SOFTMAX", "int8"): (16 / 256, 127),
    ("TANH", "int8"): (1 / 128, 0),
    ("TANH", "int16"): (1 / 32768, 0),
    ("L2_NORMALIZATION", "int8"): (1 / 128, 0),
}


def unary(c: OneOp, kind: str) -> bytes:
    # RSQRT of a quantized number below 0 is an error; the zero point makes the input 0 to 25.5.
    facts: dict[str, Any] = {"zero_point": -128} if kind == "RSQRT" and c.dtype == "int8" else {}
    x = c.input(**facts)
    scale, zero_point = _OUTPUTS.get((kind, c.dtype), (None, 0))
    options = {"beta": 1.0} if kind == "SOFTMAX" else {}
    return c.build(kind, [x], c.tensor(_SHAPE, **({} if scale is None else {"scale": scale, "zero_point": zero_point})), **options)


def binary(c: OneOp, kind: str) -> bytes:
    # Divisors of 0 are an error: they are constants, and 1.
    x, y = c.input(), c.constant(np.ones(_SHAPE, np.int64), c.dtype)
    return c.build(kind, [x, y], c.tensor(_SHAPE, "bool" if kind in COMPARISONS else None))


def prelu(c: OneOp, kind: str) -> bytes:
    slope = c.constant(np.ones((1, 1, 4), np.int64), "int8" if c.dtype == "int16" else c.dtype)
    return c.build(kind, [c.input(), slope], c.tensor(_SHAPE))


def pool(c: OneOp, kind: str) -> bytes:
    options = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    return c.build(kind, [c.input()], c.tensor((1, 2, 2, 4)), **options)


def reduce(c: OneOp, kind: str) -> bytes:
    return c.build(kind, [c.input(), c.constant([1, 2])], c.tensor((1, 4)), keep_dims=False)


def arg(c: OneOp, kind: str) -> bytes:
    return c.build(kind, [c.input(), c.constant(3)], c.tensor((1, 4, 4), "int32"), output_type=2)


def weighted(c: OneOp, kind: str) -> bytes:
    float_weights = c.dtype == "float32"
    shape = (4, 64) if kind == "FULLY_CONNECTED" else (1, 3, 3, 4) if kind == "DEPTHWISE_CONV_2D" else (4, 3, 3, 4)
    dtype = "float32" if float_weights else "int8"
    weights = c.constant(np.ones(shape, np.int64), dtype)
    bias = c.constant(np.zeros(4), "float32" if float_weights else "int64" if c.dtype == "int16" else "int32", scale=0.1 * 0.1)
    if kind == "FULLY_CONNECTED":
        return c.build(kind, [c.input((1, 64)), weights, bias], c.tensor((1, 4)))
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    if kind == "TRANSPOSE_CONV":
        return c.build(kind, [c.constant(_SHAPE), weights, c.input(), bias], c.tensor(_SHAPE), **options)
    more = {"depth_multiplier": 1} if kind == "DEPTHWISE_CONV_2D" else {}
    return c.build(kind, [c.input(), weights, bias], c.tensor(_SHAPE), **options, **more)


def batch_matmul(c: OneOp, kind: str) -> bytes:
    return c.build(kind, [c.input((1, 4, 4)), c.input((1, 4, 4))], c.tensor((1, 4, 4)))


def joined(c: OneOp, kind: str) -> bytes:
    shape = (1, 4, 4, 8) if kind == "CONCATENATION" else _SHAPE if kind == "ADD_N" else (2, *_SHAPE)
    options = {"axis": 3} if kind == "CONCATENATION" else {"axis": 0, "values_count": 2} if kind == "PACK" else {}
    return c.build(kind, [c.input(), c.input()], c.tensor(shape), **options)


def parted(c: OneOp, kind: str) -> bytes:
    axis = c.constant(3)
    if kind == "UNPACK":
        return c.build(kind, [c.input()], [c.tensor((1, 4, 4)) for _ in range(4)], axis=3, num=4)
    halves = [c.tensor((1, 4, 4, 2)) for _ in range(2)]
    if kind == "SPLIT":
        return c.build(kind, [axis, c.input()], halves, num_splits=2)
    return c.build(kind, [c.input(), c.constant([2, 2]), axis], halves, num_splits=2)


def padded(c: OneOp, kind: str) -> bytes:
    inputs = [c.input(), c.constant([[0, 0], [1, 1], [1, 1], [0, 0]])]
    if kind == "PADV2":
        inputs.append(c.constant([0], c.dtype))
    return c.build(kind, inputs, c.tensor((1, 6, 6, 4)))


def resized(c: OneOp, kind: str) -> bytes:
    return c.build(kind, [c.input(), c.constant([8, 8])], c.tensor((1, 8, 8, 4)))


def blocked(c: OneOp, kind: str) -> bytes:
    """SPACE_TO_DEPTH and its kin."""
    zeros = c.constant([[0, 0], [0, 0]])
    match kind:
        case "SPACE_TO_DEPTH":
            return c.build(kind, [c.input()], c.tensor((1, 2, 2, 16)), block_size=2)
        case "DEPTH_TO_SPACE":
            return c.build(kind, [c.input()], c.tensor((1, 8, 8, 1)), block_size=2)
        case "SPACE_TO_BATCH_ND":
            return c.build(kind, [c.input(), c.constant([2, 2]), zeros], c.tensor((4, 2, 2, 4)))
        case _:
            return c.build(kind, [c.input((4, 4, 4, 4)), c.constant([2, 2]), zeros], c.tensor((1, 8, 8, 4)))


def moved(c: OneOp, kind: str) -> bytes:
    """Ops that move elements."""
    same = [0, 0, 0, 0]
    match kind:
        case "RESHAPE":
            return c.build(kind, [c.input(), c.constant([1, 64])], c.tensor((1, 64)), new_shape=[1, 64])
        case "SQUEEZE":
            return c.build(kind, [c.input()], c.tensor((4, 4, 4)), squeeze_dims=[0])
        case "EXPAND_DIMS":
            return c.build(kind, [c.input(), c.constant([0])], c.tensor((1, *_SHAPE)))
        case "TRANSPOSE":
            return c.build(kind, [c.input(), c.constant([0, 3, 1, 2])], c.tensor(_SHAPE))
        case "SLICE":
            return c.build(kind, [c.input(), c.constant(same), c.constant(_SHAPE)], c.tensor(_SHAPE))
        case "STRIDED_SLICE":
            return c.build(kind, [c.input(), c.constant(same), c.constant(_SHAPE), c.constant([1, 1, 1, 1])], c.tensor(_SHAPE))
        case "REVERSE_V2":
            return c.build(kind, [c.input(), c.constant([3])], c.tensor(_SHAPE))
        case "BROADCAST_TO":
            return c.build(kind, [c.input((1, 1, 4, 4)), c.constant(_SHAPE)], c.tensor(_SHAPE))
        case "MIRROR_PAD":
            return c.build(kind, [c.input(), c.constant([[0, 0], [1, 1], [1, 1], [0, 0]])], c.tensor((1, 6, 6, 4)))
        case "DYNAMIC_UPDATE_SLICE":
            return c.build(kind, [c.input(), c.input((1, 1, 1, 4)), c.constant(same)], c.tensor(_SHAPE))
        case "GATHER":
            return c.build(kind, [c.input((4, 4)), c.constant([0, 1])], c.tensor((2, 4)), axis=0)
        case "GATHER_ND":
            return c.build(kind, [c.input((4, 4)), c.constant([[0], [1]])], c.tensor((2, 4)))
        case "EMBEDDING_LOOKUP":
            return c.build(kind, [c.constant([0, 1]), c.input((4, 4))], c.tensor((2, 4)))
        case "FILL":
            return c.build(kind, [c.constant([2, 4]), c.input(())], c.tensor((2, 4)))
        case "SELECT_V2":
            return c.build(kind, [c.input(dtype="bool"), c.input(), c.input()], c.tensor(_SHAPE))
        case "CUMSUM":
            return c.build(kind, [c.input(), c.constant([3])], c.tensor(_SHAPE))
        case "BROADCAST_ARGS":
            return c.build(kind, [c.input((4,)), c.input((4,))], c.tensor((4,)))
        case _:
            return c.build(kind, [c.input()], c.tensor((4,), "int32"), out_type=2)  # SHAPE


def converted(c: OneOp, kind: str) -> bytes:
    return c.build(kind, [c.input()], c.tensor(_SHAPE, "float32" if kind in ("DEQUANTIZE", "CAST") else "int8"))


COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
_UNARY = "ABS CEIL COS ELU EXP FLOOR HARD_SWISH L2_NORMALIZATION LEAKY_RELU LOG LOGICAL_NOT LOGISTIC LOG_SOFTMAX NEG RELU RELU6 ROUND RSQRT"
_UNARY += " SIN SOFTMAX SQRT SQUARE TANH ZEROS_LIKE"
_BINARY = "ADD SUB MUL DIV MAXIMUM MINIMUM FLOOR_DIV FLOOR_MOD SQUARED_DIFFERENCE LOGICAL_AND LOGICAL_OR"
_MOVED = (
    "RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE SLICE STRIDED_SLICE REVERSE_V2 BROADCAST_TO MIRROR_PAD DYNAMIC_UPDATE_SLICE GATHER GATHER_ND"
)
_MOVED += " EMBEDDING_LOOKUP FILL SELECT_V2 CUMSUM BROADCAST_ARGS SHAPE"
_GROUPS: dict[Maker, str] = {
    unary: _UNARY,
    binary: f"{_BINARY} {' '.join(COMPARISONS)}",
    prelu: "PRELU",
    pool: "AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D",
    reduce: "MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_ALL",
    arg: "ARG_MAX ARG_MIN",
    weighted: "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED TRANSPOSE_CONV",
    batch_matmul: "BATCH_MATMUL",
    joined: "CONCATENATION PACK ADD_N",
    parted: "SPLIT SPLIT_V UNPACK",
    padded: "PAD PADV2",
    resized: "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR",
    blocked: "SPACE_TO_DEPTH DEPTH_TO_SPACE SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND",
    moved: _MOVED,
    converted: "QUANTIZE DEQUANTIZE CAST",
}
MAKERS: dict[str, Maker] = {kind: maker for maker, kinds in _GROUPS.items() for kind in kinds.split()}
