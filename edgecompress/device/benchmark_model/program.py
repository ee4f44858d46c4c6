"""One benchmark_model on one machine: its files there, its flags, one call of it, and what its failures mean.

Booleans are `true` or `false`; a flag that a build does not know is only a warning. Whatever delegate was asked for must have said that it
took the model: numbers of the CPU are never called the GPU's.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

from edgecompress.device.benchmark_model.told import MAX_TEXT_CHARACTERS, Applied, parse_applied
from edgecompress.device.processors import is_foreign, processor_of
from edgecompress.device.remote import Remote
from edgecompress.errors import DeviceError, LinkError, ModelError, OutputError

PROGRAM = "benchmark_model"
MODEL = "model.tflite"
# Of the warm-up and of the timed runs, each: benchmark_model starts no further run after it.
MAX_SECONDS = 150.0
# Beside those: loading, compiling for a GPU, and the one run that goes on.
EXTRA_TIMEOUT_S = 300.0
_ILLEGAL_INSTRUCTION = 128 + 4
# The first thing that every build says.
_STARTED = "STARTING!"
_REFUSALS = re.compile(
    r"Failed to (?:load model|build|construct|initialize the interpreter|allocate tensors|resolve)|unresolved custom op"
    r"|Didn't find op for builtin opcode|Failed to mmap model|not a valid Flatbuffer|Failed to create the interpreter"
)


class BenchmarkKernels(Enum):
    """What computes the model: XNNPACK, LiteRT's built-in optimized kernels, or the GPU delegate."""

    XNNPACK = "xnnpack"
    BUILTIN = "builtin"
    GPU = "gpu"


_FLAGS = {
    BenchmarkKernels.XNNPACK: ("--use_xnnpack=true", "--use_gpu=false"),
    BenchmarkKernels.BUILTIN: ("--use_xnnpack=false", "--use_gpu=false"),
    BenchmarkKernels.GPU: ("--use_xnnpack=false", "--use_gpu=true"),
}
_DELEGATES = {BenchmarkKernels.XNNPACK: "XNNPACK", BenchmarkKernels.GPU: "GPU"}


class Program:
    """The user's program and the model, copied to a machine."""

    def __init__(
        self,
        remote: Remote,
        path: Path,
        model_bytes: bytes,
        *,
        kernels: BenchmarkKernels,
        threads: int,
        cores: Sequence[int] | None,
        machine: str | None,
    ) -> None:
        """Copy both.

        Args:
            cores: to hold it to; None for any.
            machine: as `uname -m` says it there.
        """
        self._remote = remote
        self._path = path
        self._kernels = kernels
        self._threads = threads
        self._cores = cores
        self._machine = machine
        remote.push(path, PROGRAM, executable=True)
        self.push({MODEL: model_bytes})

    @property
    def where(self) -> str:
        return self._remote.name

    def push(self, files: Mapping[str, bytes]) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
                for name, data in files.items():
                    path = Path(folder) / name
                    path.write_bytes(data)
                    self._remote.push(path, name)
        except OSError as e:
            raise OutputError(f"{tempfile.gettempdir()}: cannot be written: {e.strerror}", hint="set TMPDIR to another folder") from e

    def pull_if_there(self, name: str, most: int) -> bytes | None:
        try:
            data = self._remote.pull(name)
        except LinkError:
            raise
        except DeviceError:
            return None
        return data if len(data) <= most else None

    def start(self, flags: Sequence[str]) -> str:
        """Run the program; what it says.

        Raises:
            DeviceError, ModelError: it failed.
        """
        code, text = self.call(flags)
        if code != 0:
            raise self._failure(code, text)
        if _STARTED not in text:
            said = reason_of(text)
            raise DeviceError(
                f"{self._path} is no benchmark_model: it ended well and said {said if said else 'nothing'}",
                hint="name LiteRT's program with --benchmark-model; with --help it lists flags such as --graph",
            )
        return text

    def call(self, flags: Sequence[str]) -> tuple[int, str]:
        """The program's exit code, and what it says on both streams (older builds say all on standard error)."""
        command = [f"./{PROGRAM}", f"--graph={MODEL}", f"--num_threads={self._threads}", *_FLAGS[self._kernels], *flags]
        if self._cores is not None:
            mask = sum(1 << core for core in self._cores)
            command = ["taskset", f"{mask:x}", *command]
        try:
            done = self._remote.run(command, timeout_s=2 * MAX_SECONDS + EXTRA_TIMEOUT_S)
        except LinkError:
            raise
        except DeviceError as e:
            self._raise_if_foreign(e)
            raise
        said = (done.stdout[:MAX_TEXT_CHARACTERS], done.stderr[:MAX_TEXT_CHARACTERS])
        return done.exit_code, "\n".join(part.decode("utf-8", "replace") for part in said)

    def _failure(self, code: int, text: str) -> DeviceError | ModelError:
        if _STARTED not in text:
            self._raise_if_foreign(None)
        said = reason_of(text)
        words = f": {said}" if said else ""
        if "taskset: " in text and self._cores is not None:
            held = ", ".join(map(str, self._cores))
            return DeviceError(f"{self.where}: benchmark_model cannot be held to core {held}{words}", hint="choose another core, or any")
        delegate = self.delegate
        if delegate is not None and parse_applied(text, delegate) is Applied.NONE:
            return self._refused(delegate, said)
        if _REFUSALS.search(text):
            return ModelError(f"benchmark_model on {self.where} refuses this model{words}", hint="edgecompress inspect shows its ops")
        if code == _ILLEGAL_INSTRUCTION:
            return DeviceError(
                f"{self.where}: benchmark_model uses instructions that this processor lacks", hint="take a build for older ones"
            )
        if code > 128:
            return DeviceError(
                f"{self.where}: benchmark_model crashed (signal {code - 128}){words}", hint="try other kernels or another build"
            )
        return DeviceError(
            f"{self.where}: benchmark_model ended with exit code {code}{words}",
            hint="start it there by hand; phones want an Android build, boards one for Linux",
        )

    def _raise_if_foreign(self, cause: Exception | None) -> None:
        try:
            processor = processor_of(self._path)
        except OSError:
            return
        if is_foreign(processor, self._machine):
            raise DeviceError(
                f"{self._path} is built for {processor}; {self.where} is {self._machine}",
                hint="take the benchmark_model that is built for it",
            ) from cause

    @property
    def delegate(self) -> str | None:
        return _DELEGATES.get(self._kernels)

    def applied(self, text: str) -> Applied:
        """How much of the model the delegate took.

        Raises:
            DeviceError: none of it, or, for the GPU, nothing that it said.
        """
        if self.delegate is None:
            return Applied.UNSAID
        applied = parse_applied(text, self.delegate)
        if applied is Applied.NONE or (applied is Applied.UNSAID and self._kernels is BenchmarkKernels.GPU):
            raise self._refused(self.delegate, reason_of(text))
        return applied

    def _refused(self, delegate: str, said: str) -> DeviceError:
        words = f" ({said})" if said else ""
        return DeviceError(
            f"{self.where}: {delegate} did not take the model, which ran, if at all, on other kernels{words}",
            hint="measure with --kernels builtin or xnnpack; GPUs want float models or ops that their delegate lists",
        )


def reason_of(text: str) -> str:
    """The first line that speaks of an error, made short; the last line when none does."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("ERROR", "FATAL")) and "Benchmarking failed" not in line]
    unsupported = [line for line in lines if "unsupported on this platform" in line]
    chosen = (telling or unsupported or lines[-1:] or [""])[0]
    return "".join(c if c.isprintable() else "?" for c in chosen)[:200]
