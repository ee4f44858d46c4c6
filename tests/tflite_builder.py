"""Small .tflite files for tests, and the two host interpreters that run them.

The files are written with the published schema (TensorFlow's `schema_py_generated.py`, loaded by its path, because importing TensorFlow
takes seconds) and the `flatbuffers` package; the package under test uses neither, so a mistake on one side is seen by the other.

    builder = ModelBuilder()
    x = builder.tensor((1, 8), "int8", scale=0.5, zero_point=3)
    y = builder.tensor((1, 8), "int8", scale=1 / 256, zero_point=-128)
    builder.op("SOFTMAX", [x], [y], beta=1.0)
    builder.inputs(x)
    builder.outputs(y)
    (result,) = run_tflm(builder.build(), [np.zeros((1, 8), np.int8)])
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Ops whose table of options is not named after them; None is an op without one.
_OPTIONS: dict[str, str | None] = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
    "CEIL": None,
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "ELU": None,
    "FLOOR": None,
    "L2_NORMALIZATION": "L2NormOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "LOG": None,
    "LOGISTIC": None,
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "PADV2": "PadV2Options",
    "PRELU": None,
    "REDUCE_ALL": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "RELU": None,
    "RELU6": None,
    "RELU_N1_TO_1": None,
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "ROUND": None,
    "RSQRT": None,
    "SIN": None,
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
    "SQRT": None,
    "SUM": "ReducerOptions",
    "TANH": None,
}

# Words in options that are enumerations of the schema.
_ENUMS = {"padding": "Padding", "fusedActivationFunction": "ActivationFunctionType", "weightsFormat": "FullyConnectedOptionsWeightsFormat"}


@cache
def schema() -> ModuleType:
    """TensorFlow's generated schema module, without TensorFlow."""
    package = importlib.util.find_spec("tensorflow")
    if package is None or package.origin is None:
        raise RuntimeError("tests that build .tflite files need the schema inside the tensorflow package: pip install tensorflow")
    path = Path(package.origin).parent / "lite/python/schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("edgecompress_test_schema", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pack_model(model: Any) -> bytes:
    """The file of a `ModelT`, with the identifier TFL3."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def parse_model(data: bytes) -> Any:
    """The `ModelT` of a file, to be changed and packed again."""
    return schema().ModelT.InitFromObj(schema().Model.GetRootAsModel(bytearray(data), 0))


class ModelBuilder:
    """One subgraph, put together tensor by tensor and op by op."""

    def __init__(self, description: str = "built by a test") -> None:
        s = schema()
        self._model = s.ModelT()
        self._model.version = 3
        self._model.description = description
        self._model.operatorCodes = []
        self._model.buffers = [s.BufferT()]
        graph = s.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs, graph.name = [], [], [], [], "main"
        self._model.subgraphs = [graph]
        self._graph = graph

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        *,
        scale: float | ArrayLike | None = None,
        zero_point: int | ArrayLike = 0,
        axis: int | None = None,
        data: ArrayLike | None = None,
        name: str | None = None,
        shape_signature: Sequence[int] | None = None,
        is_variable: bool = False,
    ) -> int:
        """Add a tensor; its index. `data` makes it a constant; int4 data are given unpacked and stored two a byte, the low half first."""
        s = schema()
        tensor = s.TensorT()
        index = len(self._graph.tensors)
        tensor.name = name if name is not None else f"t{index}"
        tensor.shape = np.array(shape, np.int32)
        tensor.hasRank = True
        tensor.isVariable = is_variable
        tensor.type = getattr(s.TensorType, dtype.upper())
        if shape_signature is not None:
            tensor.shapeSignature = np.array(shape_signature, np.int32)
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            quantization = s.QuantizationParametersT()
            quantization.scale = scales
            quantization.zeroPoint = np.ascontiguousarray(np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape))
            quantization.quantizedDimension = axis or 0
            tensor.quantization = quantization
        if data is not None:
            buffer = s.BufferT()
            buffer.data = _constant_bytes(np.asarray(data), shape, dtype)
            tensor.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)
        self._graph.tensors.append(tensor)
        return index

    def op(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], version: int = 1, **options: Any) -> int:
        """Add an op; its index. `kind` is a builtin's name or "CUSTOM:name".

        Options are fields of the schema's table in camelCase or snake_case (`activation` is short for the fused one); enumerations may be
        given by name, as in `padding="SAME"`. An input of -1 is an optional one left out.
        """
        s = schema()
        op = s.OperatorT()
        op.opcodeIndex = self._opcode(kind, version)
        op.inputs = np.array(inputs, np.int32)
        op.outputs = np.array(outputs, np.int32)
        name = _options_name(kind)
        if name is not None:
            op.builtinOptionsType = getattr(s.BuiltinOptions, name)
            op.builtinOptions = getattr(s, name + "T")()
            for field, value in options.items():
                _set_option(op.builtinOptions, field, value)
        elif options:
            raise ValueError(f"{kind} has no options, got {sorted(options)}")
        self._graph.operators.append(op)
        return len(self._graph.operators) - 1

    def inputs(self, *tensors: int) -> None:
        """The graph's inputs, in order."""
        self._graph.inputs = np.array(tensors, np.int32)

    def outputs(self, *tensors: int) -> None:
        """The graph's outputs, in order."""
        self._graph.outputs = np.array(tensors, np.int32)

    def model(self) -> Any:
        """The schema's `ModelT`, for tests that spoil a field before `pack_model`."""
        return self._model

    def build(self) -> bytes:
        """The file."""
        return pack_model(self._model)

    def _opcode(self, kind: str, version: int) -> int:
        s = schema()
        builtin, _, custom = kind.partition(":")
        code = s.OperatorCodeT()
        code.builtinCode = getattr(s.BuiltinOperator, builtin)
        code.deprecatedBuiltinCode = min(code.builtinCode, s.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
        code.customCode = custom or None
        code.version = version
        for index, known in enumerate(self._model.operatorCodes):
            if vars(known) == vars(code):
                return index
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def run_tflm(model_bytes: bytes, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Outputs of TensorFlow Lite Micro's host interpreter (reference kernels) for one set of inputs."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model_bytes)
    for index, value in enumerate(inputs):
        interpreter.set_input(value, index)
    interpreter.invoke()
    count = len(parse_outputs(model_bytes))
    return [np.array(interpreter.get_output(index)) for index in range(count)]


def run_litert(model_bytes: bytes, inputs: Sequence[NDArray[Any]], kernels: str = "reference") -> list[NDArray[Any]]:
    """Outputs of LiteRT with its `reference`, `builtin` (optimized, no delegate) or `xnnpack` kernels, on one thread."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = {
        "reference": OpResolverType.BUILTIN_REF,
        "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "xnnpack": OpResolverType.BUILTIN,
    }[kernels]
    interpreter = Interpreter(model_content=model_bytes, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


def parse_outputs(model_bytes: bytes) -> list[int]:
    """Tensor indices of the first subgraph's outputs."""
    graph = schema().Model.GetRootAsModel(bytearray(model_bytes), 0).Subgraphs(0)
    return [graph.Outputs(i) for i in range(graph.OutputsLength())]


def _options_name(kind: str) -> str | None:
    if kind.startswith("CUSTOM:"):
        return None
    if kind in _OPTIONS:
        return _OPTIONS[kind]
    name = "".join(word.capitalize() for word in kind.split("_")) + "Options"
    return name if hasattr(schema(), name + "T") else None


def _set_option(table: Any, field: str, value: Any) -> None:
    name = re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), field)
    name = "fusedActivationFunction" if name == "activation" else name
    if name not in vars(table):
        raise ValueError(f"{type(table).__name__} has no field {field}; it has {sorted(vars(table))}")
    if isinstance(value, str) and name in _ENUMS:
        value = getattr(getattr(schema(), _ENUMS[name]), value.upper())
    if isinstance(value, (list, tuple)):
        value = np.array(value, np.int32)
    setattr(table, name, value)


def _constant_bytes(data: NDArray[Any], shape: Sequence[int], dtype: str) -> NDArray[np.uint8]:
    if dtype.lower() == "int4":
        flat = np.ascontiguousarray(data, np.int8).reshape(-1).view(np.uint8) & 15
        flat = np.append(flat, np.zeros(flat.size % 2, np.uint8))
        return flat[0::2] | (flat[1::2] << 4)
    values = np.ascontiguousarray(data, np.dtype(dtype.lower()))
    if values.size != int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"{values.size} elements given for the shape {tuple(shape)}")
    return values.reshape(-1).view(np.uint8)
