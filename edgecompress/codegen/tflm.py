"""The tflm engine: a model for firmware that links TensorFlow Lite Micro.

The .tflite goes into the firmware as it is. Around it come a resolver with exactly the ops used, the same small C API as generated code has
(so the application does not know which engine it got), a golden vector, and an arena size: what TFLM's own host interpreter needs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgecompress.artifact import Engine, GeneratedModel, ModelInfo
from edgecompress.codegen.preflight import check_supported
from edgecompress.codegen.specs import checked_name, tensor_spec
from edgecompress.codegen.tflm_host import HostRun, run_on_host
from edgecompress.codegen.tflm_ops import resolver_calls
from edgecompress.codegen.tflm_text import ArenaEstimate, ExactArena, GoldenVector, TflmModel, tflm_files
from edgecompress.errors import ModelError
from edgecompress.graph import DType, Graph, Tensor
from edgecompress.numerics.lcg import lcg_bytes

GOLDEN_SEED = 1
# Bytes that the interpreter keeps per op and per tensor on a 64-bit host, rounded up; used to give it enough, never as a result.
_AMPLE_BYTES_PER_OP = 4096
_AMPLE_BYTES = 1024 * 1024
# The same for an estimate where there is no interpreter, and the host's own 64-bit pointers do not count.
_BYTES_PER_OP = 256
_BYTES_PER_TENSOR = 64
_BYTES_OF_INTERPRETER = 2048

_NUMPY_TYPES: dict[DType, type[np.generic]] = {
    DType.FLOAT32: np.float32,
    DType.INT8: np.int8,
    DType.UINT8: np.uint8,
    DType.INT16: np.int16,
    DType.INT32: np.int32,
    DType.INT64: np.int64,
    DType.BOOL: np.bool_,
}


def generate_tflm(
    graph: Graph, model_bytes: bytes, *, name: str | None = None, arena: ExactArena | None = None, options: str = ""
) -> GeneratedModel:
    """The sources of a model for TensorFlow Lite Micro.

    `<name>.h/.cc` are the C API, `<name>_model.h/.cc` the file as an array, `<name>_ops.h` the resolver, `<name>_golden.h` one input and
    the outputs of TFLM's host interpreter. Where its wheel is not installed there is no golden vector, and the arena estimate is a rough
    one; the header says so.

    Args:
        graph: what `read_tflite` made of `model_bytes`.
        model_bytes: the .tflite.
        name: prefix of every symbol and file, a lower-case C identifier; the graph's name unless given.
        arena: what was found on a core; an estimate from the host interpreter when None.
        options: further words of the command that makes the same sources again.

    Raises:
        UserError: `name` cannot be a prefix.
        UnsupportedOpError: TFLM lacks an op or a type of the model; op, layer and version are named.
        ModelError: the model has several graphs, or inputs of a type that an application cannot fill.
        ToolError: the host interpreter crashed.
    """
    prefix = checked_name(graph.name if name is None else name)
    if graph.subgraphs != 1:
        what = f"{graph.name}: the file holds {graph.subgraphs} graphs; expected 1"
        raise ModelError(what, hint="export the model without loops and branches")
    check_supported(graph, Engine.TFLM)
    inputs = _golden_inputs(graph)
    host = run_golden(graph, model_bytes)
    model = TflmModel(
        name=prefix,
        command=_command(graph, prefix) + options,
        graph=graph,
        data=model_bytes,
        resolver_calls=resolver_calls(graph),
        arena=arena or _estimate(graph, host),
        golden=None if host is None else GoldenVector(host.version, GOLDEN_SEED, tuple(inputs), host.outputs),
    )
    info = ModelInfo(
        name=prefix,
        sha256=graph.sha256,
        engine=Engine.TFLM,
        macs=graph.macs,
        parameters=graph.parameters,
        arena_bytes=model.arena_bytes,
        inputs=tuple(tensor_spec(graph.tensor(i)) for i in graph.inputs),
        outputs=tuple(tensor_spec(graph.tensor(i)) for i in graph.outputs),
        steps=(),
        plan=(),
        arena_is_estimate=arena is None,
    )
    return GeneratedModel(info, tflm_files(model), ())


def run_golden(graph: Graph, model_bytes: bytes) -> HostRun | None:
    """One inference of the golden inputs by TFLM's host interpreter, and the arena that it takes; None where its wheel is not installed.

    Raises:
        UnsupportedOpError: the interpreter refuses the model.
        ModelError: an input of a type that an application cannot fill.
        ToolError: the interpreter crashed.
    """
    return run_on_host(model_bytes, graph.name, _golden_inputs(graph), len(graph.outputs), _ample_arena(graph))


def _golden_inputs(graph: Graph) -> list[NDArray[np.generic]]:
    return [golden_input(graph.tensor(i)) for i in graph.inputs]


def golden_input(tensor: Tensor) -> NDArray[np.generic]:
    """A repeatable input: bytes of the generator in `numerics.lcg` for integers, the same scaled to [-1, 1) for floats.

    Types that usually hold indices and lengths (int32, int64) are zero, so that they stay in range.

    Raises:
        ModelError: an input of a type that an application cannot fill.
    """
    kind = _NUMPY_TYPES.get(tensor.dtype)
    if kind is None:
        raise ModelError(f"the input {tensor.name} has the type {tensor.dtype.value}", hint="convert the model to int8")
    if tensor.dtype in (DType.INT32, DType.INT64):
        return np.zeros(tensor.shape, kind)
    count = tensor.elements * (2 if tensor.dtype is DType.INT16 else 1)
    raw = np.frombuffer(lcg_bytes(GOLDEN_SEED, count), np.uint8)
    if tensor.dtype is DType.FLOAT32:
        return ((raw.astype(np.float32) - 128) / 128).reshape(tensor.shape)
    if tensor.dtype is DType.BOOL:
        return np.greater(raw, 127).reshape(tensor.shape)
    return raw.view(np.dtype(kind).newbyteorder("<")).astype(kind).reshape(tensor.shape)


def _activation_bytes(graph: Graph) -> int:
    return sum(math.ceil(t.bytes / 16) * 16 for t in graph.tensors if not t.is_constant)


def _ample_arena(graph: Graph) -> int:
    return 2 * _activation_bytes(graph) + _AMPLE_BYTES_PER_OP * len(graph.ops) + _AMPLE_BYTES


def _estimate(graph: Graph, host: HostRun | None) -> ArenaEstimate:
    if host is not None:
        return ArenaEstimate(host.arena_bytes, host.version)
    rough = _activation_bytes(graph) + _BYTES_PER_OP * len(graph.ops) + _BYTES_PER_TENSOR * len(graph.tensors) + _BYTES_OF_INTERPRETER
    return ArenaEstimate(math.ceil(rough / 16) * 16, None)


def _command(graph: Graph, prefix: str) -> str:
    return f"edgecompress generate {graph.name}.tflite --engine tflm" + ("" if prefix == graph.name else f" --name {prefix}")
