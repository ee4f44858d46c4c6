"""The two interpreters that run a .tflite on the host, with every tensor in view: the references of a comparison.

A trace is `{tensor index: array}` for all activations of one inference. TensorFlow Lite Micro's wheel exists for few platforms;
`tflm_available` says whether this is one of them.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ModelError, ToolError
from edgecompress.graph import DType, Graph, require_openable

Trace = dict[int, NDArray[np.generic]]

NUMPY_TYPES: dict[DType, type[np.generic]] = {
    DType.FLOAT32: np.float32,
    DType.FLOAT16: np.float16,
    DType.INT8: np.int8,
    DType.UINT8: np.uint8,
    DType.INT16: np.int16,
    DType.INT32: np.int32,
    DType.INT64: np.int64,
    DType.BOOL: np.bool_,
}

# Interpreter bookkeeping per tensor and op, far above what the 64-bit host build takes (about 200 bytes each).
_ARENA_SLACK_BYTES = 256 * 1024

_REFUSED_HINT = "convert the model to full int8, without that op: edgecompress inspect shows the ops"
_FAILED_HINT = "give inputs that the model can take (--data); edgecompress inspect shows its ops"


def tflm_available() -> bool:
    """Whether TensorFlow Lite Micro's host wheel is installed."""
    return importlib.util.find_spec("tflite_micro") is not None


def as_arrays(graph: Graph, inputs: Sequence[bytes]) -> list[NDArray[np.generic]]:
    """Raw input bytes as arrays of the model's input shapes and types.

    Raises:
        ModelError: a wrong number of inputs, or of bytes.
    """
    if len(inputs) != len(graph.inputs):
        raise ModelError(
            f"{graph.name} has {len(graph.inputs)} inputs; {len(inputs)} came", hint="give one input per model input, in order"
        )
    arrays = []
    for index, data in zip(graph.inputs, inputs, strict=True):
        tensor = graph.tensor(index)
        if len(data) != tensor.bytes:
            raise ModelError(
                f"input {tensor.name} takes {tensor.bytes} bytes ({list(tensor.shape)} of {tensor.dtype.value}); {len(data)} came",
                hint="the bytes are the tensor's elements in row-major order, little-endian",
            )
        arrays.append(np.frombuffer(data, NUMPY_TYPES[tensor.dtype]).reshape(tensor.shape))
    return arrays


class TflmHost:
    """TensorFlow Lite Micro's reference kernels on the host."""

    def __init__(self, model: bytes, graph: Graph) -> None:
        """Raises:
        ToolError: the wheel is not installed.
        ModelError: the interpreter refuses the model.
        """
        if not tflm_available():
            raise ToolError(
                "TensorFlow Lite Micro's host interpreter (tflite-micro) is not installed",
                hint="pip install tflite-micro (wheels: Linux x86-64); edgecompress doctor says more",
            )
        from tflite_micro.python.tflite_micro import runtime

        require_openable(graph)
        self._graph = graph
        arena_bytes = sum(t.bytes + 16 for t in graph.tensors) + _ARENA_SLACK_BYTES + 1024 * len(graph.ops)
        with _held_stderr() as said:
            try:
                self._interpreter: Any = runtime.Interpreter.from_bytes(
                    model, arena_size=arena_bytes, intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors
                )
            except (RuntimeError, ValueError) as e:
                reason = "; ".join(_lines(said)) or _first_line(e)
                raise ModelError(f"{graph.name}: TensorFlow Lite Micro refuses this model: {reason}", hint=_REFUSED_HINT) from e

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """One inference, raw bytes in and out."""
        self._invoke(inputs)
        return [np.ascontiguousarray(self._interpreter.get_output(i)).tobytes() for i in range(len(self._graph.outputs))]

    def trace(self, inputs: Sequence[bytes]) -> Trace:
        """One inference, every activation."""
        self._invoke(inputs)
        return {index: np.array(self._interpreter.GetTensor(index, 0)["tensor_data"]) for index in _activations(self._graph)}

    def _invoke(self, inputs: Sequence[bytes]) -> None:
        for i, array in enumerate(as_arrays(self._graph, inputs)):
            self._interpreter.set_input(array, i)
        try:
            self._interpreter.invoke()
        except RuntimeError as e:
            raise ModelError(f"{self._graph.name}: TensorFlow Lite Micro failed: {_first_line(e)}", hint=_FAILED_HINT) from e


class LiteRtReference:
    """LiteRT's reference kernels, every tensor kept.

    They round twice, as TensorFlow Lite Micro's do, but for FULLY_CONNECTED, which rounds once (seen with ai-edge-litert 2.3: all
    outputs of a ten-layer autoencoder equal single rounding).
    """

    def __init__(self, model: bytes, graph: Graph) -> None:
        """Raises:
        ModelError: the interpreter refuses the model.
        """
        from ai_edge_litert import interpreter as litert

        require_openable(graph)
        self._graph = graph
        try:
            self._interpreter: Any = litert.Interpreter(
                model_content=model,
                experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=True,
                num_threads=1,
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as e:
            raise ModelError(f"{graph.name}: LiteRT refuses this model: {_first_line(e)}", hint="edgecompress inspect shows its ops") from e

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """One inference, raw bytes in and out."""
        self._invoke(inputs)
        return [np.ascontiguousarray(self._interpreter.get_tensor(d["index"])).tobytes() for d in self._interpreter.get_output_details()]

    def trace(self, inputs: Sequence[bytes]) -> Trace:
        """One inference, every activation."""
        self._invoke(inputs)
        return {index: np.array(self._interpreter.get_tensor(index)) for index in _activations(self._graph)}

    def _invoke(self, inputs: Sequence[bytes]) -> None:
        details = self._interpreter.get_input_details()
        for detail, array in zip(details, as_arrays(self._graph, inputs), strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        try:
            self._interpreter.invoke()
        except RuntimeError as e:
            raise ModelError(f"{self._graph.name}: LiteRT failed: {_first_line(e)}", hint=_FAILED_HINT) from e


def _activations(graph: Graph) -> list[int]:
    """Outputs of ops, in execution order."""
    return [index for op in graph.ops for index in op.outputs]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _held_stderr() -> Iterator[IO[bytes]]:
    """What C code writes to file descriptor 2 goes to the file that is given: the interpreter tells its reasons only there."""
    with tempfile.TemporaryFile() as held:
        try:
            real = os.dup(2)
        except OSError:
            yield held  # there is no descriptor 2
            return
        os.dup2(held.fileno(), 2)
        try:
            yield held
        finally:
            os.dup2(real, 2)
            os.close(real)


def _lines(held: IO[bytes]) -> list[str]:
    held.seek(0)
    return [line.strip() for line in held.read().decode("utf-8", "replace").splitlines() if line.strip()]
