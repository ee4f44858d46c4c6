"""This computer as a device (`local`): LiteRT in this process, timed by its clock."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from edgecompress.artifact import Engine, TensorSpec
from edgecompress.device.interface import DeviceModel, check_inputs
from edgecompress.errors import ModelError, UserError
from edgecompress.graph import DType
from edgecompress.profile import Measurement

_DTYPES = {
    np.dtype(np.float32): DType.FLOAT32,
    np.dtype(np.float16): DType.FLOAT16,
    np.dtype(np.int8): DType.INT8,
    np.dtype(np.uint8): DType.UINT8,
    np.dtype(np.int16): DType.INT16,
    np.dtype(np.int32): DType.INT32,
    np.dtype(np.int64): DType.INT64,
    np.dtype(np.bool_): DType.BOOL,
}
MAX_THREADS = 256


class Kernels(Enum):
    """Which kernels of LiteRT run: those of XNNPACK, the built-in optimized ones, or the reference ones.

    XNNPACK and the built-in ones round once, the reference ones twice as TensorFlow Lite Micro does.
    """

    XNNPACK = "xnnpack"
    BUILTIN = "builtin"
    REFERENCE = "reference"


def open_host(
    model_bytes: bytes, *, kernels: Kernels | Literal["xnnpack", "builtin", "reference"] = Kernels.XNNPACK, threads: int = 1
) -> HostDevice:
    """This computer, ready to run a .tflite.

    Args:
        model_bytes: of a file that `convert.read_tflite` has checked: LiteRT itself can crash on a damaged one.

    Raises:
        ModelError: LiteRT refuses the model.
        UserError: a number of threads that makes no sense.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise UserError(f"threads is {threads}; expected 1 to {MAX_THREADS}", hint="start with 1")
    return HostDevice(model_bytes, Kernels(kernels), threads)


class HostDevice:
    """LiteRT with one model."""

    def __init__(self, model_bytes: bytes, kernels: Kernels, threads: int) -> None:
        """Raises as `open_host`."""
        import hashlib

        self._kernels = kernels
        self._threads = threads
        self._interpreter = _interpreter(model_bytes, kernels, threads)
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self._model = DeviceModel(
            name="",
            sha256=hashlib.sha256(model_bytes).hexdigest(),
            engine=Engine.LITERT,
            arena_bytes=0,
            inputs=tuple(_spec(detail) for detail in self._inputs),
            outputs=tuple(_spec(detail) for detail in self._outputs),
            step_count=0,
        )

    def info(self) -> DeviceModel:
        """The model; a .tflite's bytes hold no name, so `name` is empty, and LiteRT's memory is the heap's: `arena_bytes` is 0."""
        return self._model

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """One inference: raw bytes of each input tensor in, of each output tensor out.

        Raises:
            DataError: the number of inputs, or the size of one, is not the model's.
            ModelError: LiteRT fails.
        """
        self._set_inputs(inputs)
        self._invoke()
        return [np.ascontiguousarray(self._interpreter.get_tensor(detail["index"])).tobytes() for detail in self._outputs]

    def measure(self, inputs: Sequence[bytes], *, runs: int, warmup: int) -> Measurement:
        """Microseconds of `runs` inferences after a first one and `warmup` more; only invoke is timed. Raises as `run`."""
        first = self._time_once(inputs)
        for _ in range(warmup):
            self._time_once(inputs)
        return Measurement(
            unit="us",
            samples=tuple(self._time_once(inputs) for _ in range(runs)),
            first=first,
            environment={
                "litert": metadata.version("ai-edge-litert"),
                "kernels": self._kernels.value,
                "threads": str(self._threads),
                "cpu": cpu_model(),
            },
        )

    def close(self) -> None:
        """Nothing to end; the interpreter goes with this object."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _time_once(self, inputs: Sequence[bytes]) -> float:
        self._set_inputs(inputs)
        start = time.perf_counter_ns()
        self._invoke()
        return (time.perf_counter_ns() - start) / 1000

    def _set_inputs(self, inputs: Sequence[bytes]) -> None:
        check_inputs(inputs, self._model.inputs)
        for detail, data in zip(self._inputs, inputs, strict=True):
            array = np.frombuffer(data, detail["dtype"]).reshape(detail["shape"])
            self._interpreter.set_tensor(detail["index"], array)

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as e:
            raise ModelError(f"LiteRT cannot run this model: {_first_line(e)}", hint="edgecompress inspect shows its ops") from e


def cpu_model() -> str:
    """What the processor calls itself; the architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()


def _interpreter(model_bytes: bytes, kernels: Kernels, threads: int) -> Any:  # noqa: ANN401 (LiteRT is untyped)
    from ai_edge_litert import interpreter as litert

    resolver = {
        Kernels.XNNPACK: litert.OpResolverType.AUTO,
        Kernels.BUILTIN: litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        Kernels.REFERENCE: litert.OpResolverType.BUILTIN_REF,
    }[kernels]
    try:
        with _quiet_stderr():
            interpreter = litert.Interpreter(model_content=model_bytes, experimental_op_resolver_type=resolver, num_threads=threads)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError, TypeError) as e:
        raise ModelError(f"LiteRT refuses this model: {_first_line(e)}", hint="edgecompress inspect shows its ops") from e
    return interpreter


def _spec(detail: dict[str, Any]) -> TensorSpec:
    dtype = np.dtype(detail["dtype"])
    if dtype not in _DTYPES:
        raise ModelError(f"{detail['name']}: is {dtype}; expected numbers", hint="convert the model to numeric inputs and outputs")
    shape = tuple(int(n) for n in detail["shape"])
    scale, zero_point = detail["quantization"]
    quantized = scale > 0
    return TensorSpec(
        name=str(detail["name"]),
        shape=shape,
        dtype=_DTYPES[dtype],
        bytes=int(np.prod(shape, dtype=np.int64)) * dtype.itemsize,
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """LiteRT announces its delegates on C's stderr; what went wrong comes as an exception as well."""
    try:
        saved = os.dup(2)
    except OSError:
        yield  # stderr is closed: nothing to keep quiet
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
