"""TensorFlow Lite Micro's host interpreter in a child process: does it take a model, how much arena, and which bytes come out.

The interpreter is C++ that trusts its model and writes its reports to standard error, so it runs in a process of its own. Requests and
answers are .npz archives on standard input and output.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import ToolError, UnsupportedOpError

HOST_TIMEOUT_S = 300
# The allocator works in blocks of 16 bytes.
_ARENA_STEP = 16

# Exit code of the child for "the interpreter does not take this model"; the reason is at the end of its standard error.
_REFUSED = 86
_SHOWN_LINES = 2
_CHILD = "from edgecompress.codegen.tflm_host import serve; serve()"


@dataclass(frozen=True, eq=False)
class HostRun:
    """What the host interpreter said.

    Attributes:
        version: of the tflite-micro wheel.
        arena_bytes: the smallest arena with which it starts (64-bit, reference kernels).
        outputs: of one inference.
    """

    version: str
    arena_bytes: int
    outputs: tuple[NDArray[Any], ...]


def run_on_host(model: bytes, name: str, inputs: Sequence[NDArray[Any]], output_count: int, ample_arena_bytes: int) -> HostRun | None:
    """One inference and the arena it takes; None when the wheel is not installed here.

    Args:
        model: the .tflite.
        name: for messages.
        inputs: in the order of the model's inputs.
        output_count: how many outputs the model has.
        ample_arena_bytes: an arena in which the model starts, if it starts at all.

    Raises:
        UnsupportedOpError: the interpreter refuses the model; the message holds its last line.
        ToolError: the interpreter crashed or did not end within HOST_TIMEOUT_S.
    """
    if importlib.util.find_spec("tflite_micro") is None:
        return None
    request = {f"input_{i}": array for i, array in enumerate(inputs)} | {
        "model": np.frombuffer(model, np.uint8),
        "output_count": np.array(output_count),
        "ample_arena_bytes": np.array(ample_arena_bytes),
    }
    answer = _ask(_archive(request), name)
    with np.load(io.BytesIO(answer), allow_pickle=False) as arrays:
        outputs = tuple(arrays[f"output_{i}"] for i in range(output_count))
        return HostRun(importlib.metadata.version("tflite-micro"), int(arrays["arena_bytes"]), outputs)


def _archive(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **dict[str, Any](arrays))
    return stream.getvalue()


def _ask(request: bytes, name: str) -> bytes:
    command = [sys.executable, "-P", "-c", _CHILD]
    try:
        done = subprocess.run(command, input=request, capture_output=True, timeout=HOST_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as e:
        raise ToolError(
            f"{name}: TensorFlow Lite Micro's host interpreter did not end within {HOST_TIMEOUT_S} s", hint="try a smaller model"
        ) from e
    if done.returncode == _REFUSED:
        what = f"{name}: TensorFlow Lite Micro refuses this model: {_last_lines(done.stderr)}"
        raise UnsupportedOpError(what, hint="change that layer, or use --engine aot")
    if done.returncode != 0:
        what = f"{name}: TensorFlow Lite Micro's host interpreter ended with {done.returncode}: {_last_lines(done.stderr)}"
        raise ToolError(what, hint="install tflite-micro again, or generate on another machine")
    return done.stdout


def _last_lines(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return "; ".join(lines[-_SHOWN_LINES:]) or "it gave no reason"


def serve() -> None:
    """The child: one request from standard input, one answer to standard output."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as request:
        model = request["model"].tobytes()
        count, ample = int(request["output_count"]), int(request["ample_arena_bytes"])
        inputs = [request[f"input_{i}"] for i in range(len(request.files) - 3)]
    if not _starts(model, ample):
        sys.exit(_REFUSED)
    arena_bytes = smallest(lambda size: _starts(model, size), ample)
    try:
        outputs = {f"output_{i}": array for i, array in enumerate(_invoke(model, arena_bytes, inputs, count))}
    except RuntimeError:
        # A kernel that looks at types only when it runs; its words are on standard error.
        sys.exit(_REFUSED)
    answer.write(_archive(outputs | {"arena_bytes": np.array(arena_bytes)}))
    answer.close()


def _invoke(model: bytes, arena_bytes: int, inputs: Sequence[NDArray[Any]], output_count: int) -> list[NDArray[Any]]:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    for index, array in enumerate(inputs):
        interpreter.set_input(array, index)
    interpreter.invoke()
    return [np.array(interpreter.get_output(index)) for index in range(output_count)]


def _starts(model: bytes, arena_bytes: int) -> bool:
    """Whether the interpreter starts with this arena.

    It is tried in a fork, because with some arenas that are too small it crashes instead of failing.
    """
    from tflite_micro.python.tflite_micro import runtime

    process = os.fork()
    if process == 0:
        try:
            runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    return status == 0


def smallest(works: Callable[[int], bool], high: int) -> int:
    """The smallest size up to `high` that works, in steps of 16, where `high` works and so does every larger one than one that works."""
    high = -(-high // _ARENA_STEP) * _ARENA_STEP
    low = 0
    while high - low > _ARENA_STEP:
        middle = (low + high) // 2 // _ARENA_STEP * _ARENA_STEP
        low, high = (low, middle) if works(middle) else (middle, high)
    return high
