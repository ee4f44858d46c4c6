"""LiteRT's benchmark_model as a `Device`: three runs of it make a measurement, one more gives outputs.

It tells no single times: a measurement holds its summary. Memory and operators are asked for in runs of their own, since asking disturbs
the times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgecompress.device.benchmark_model.conditions import between, choose_cores, look_at
from edgecompress.device.benchmark_model.operators import MAX_FILE_BYTES, parse_operators
from edgecompress.device.benchmark_model.program import MAX_SECONDS, BenchmarkKernels, Program
from edgecompress.device.benchmark_model.result_file import MAX_FILE_BYTES as RESULT_BYTES
from edgecompress.device.benchmark_model.result_file import ResultFile, parse_result_file
from edgecompress.device.benchmark_model.told import (
    Applied,
    ToldLatency,
    ToldMemory,
    parse_applied,
    parse_latency,
    parse_memory,
    parse_unknown_flags,
)
from edgecompress.device.host import MAX_THREADS, open_host
from edgecompress.device.interface import DeviceModel, check_inputs
from edgecompress.device.native import MAX_CORES, CoreClass
from edgecompress.device.remote import Remote, closed_on_failure
from edgecompress.errors import DataError, DeviceError, LinkError, OutputError, UserError
from edgecompress.profile import Measurement, TimedOp

VARIABLE = "EDGECOMPRESS_BENCHMARK_MODEL"
MAX_RUNS = 1_000_000
# Enough to touch all memory, and for an operator's average.
_MEMORY_RUNS, _OPERATOR_RUNS = 10, 50


def open_benchmark_model(
    remote: Remote,
    program: Path,
    model_bytes: bytes,
    *,
    kernels: BenchmarkKernels = BenchmarkKernels.XNNPACK,
    threads: int = 1,
    core: CoreClass | int = CoreClass.ANY,
    min_seconds: float = 1.0,
    warmup_seconds: float = 0.5,
) -> BenchmarkModelDevice:
    """A .tflite under the user's benchmark_model, on another machine or on this one.

    Args:
        remote: open; it belongs to the device from here on, and `close` closes it.
        program: built for that machine: `android_aarch64_benchmark_model` of LiteRT's nightly builds for most phones.
        model_bytes: of a file that `convert.read_tflite` has checked: LiteRT can crash on a damaged one. Its inputs are read here.
        core: for all runs. Several threads are held to all cores of the class, or to the one that is named.
        min_seconds, warmup_seconds: measurements take at least so long, whatever number of runs is asked for.

    Raises:
        UserError: there is no such program, or a number of threads, core or time that makes no sense.
        ModelError: LiteRT refuses the model here.
        DeviceError: the machine has no space, or no such core.
        LinkError: the link was lost.
    """
    with closed_on_failure(remote):
        if not program.is_file():
            raise UserError(f"{program}: there is no such program", hint=f"name LiteRT's with --benchmark-model, or with ${VARIABLE}")
        if not 1 <= threads <= MAX_THREADS:
            raise UserError(f"threads is {threads}; expected 1 to {MAX_THREADS}", hint="start with 1")
        if isinstance(core, int) and not 0 <= core < MAX_CORES:
            raise UserError(f"there is no core {core}", hint=f"choose fast, slow, any, or a number below {MAX_CORES:,}")
        for seconds in (min_seconds, warmup_seconds):
            if not 0 <= seconds <= MAX_SECONDS:
                raise UserError(f"{seconds:g} s cannot be measured; expected 0 to {MAX_SECONDS:g}", hint="start with 1")
        return BenchmarkModelDevice(remote, program, model_bytes, kernels, threads, core, (min_seconds, warmup_seconds))


class BenchmarkModelDevice:
    """See `open_benchmark_model`; the rest is `Device`."""

    def __init__(
        self,
        remote: Remote,
        program: Path,
        model_bytes: bytes,
        kernels: BenchmarkKernels,
        threads: int,
        core: CoreClass | int,
        seconds: tuple[float, float],
    ) -> None:
        self._remote = remote
        self._path = program
        self._kernels = kernels
        self._threads = threads
        self._seconds = seconds
        self._files = 0
        with open_host(model_bytes, kernels="builtin") as host:
            self._model = host.info()
        _check_shapes(self._model)
        self._seen = look_at(remote)
        self._cores = choose_cores(self._seen, core, threads)
        self._program = Program(
            remote, program, model_bytes, kernels=kernels, threads=threads, cores=self._cores, machine=self._seen.machine
        )

    def info(self) -> DeviceModel:
        """The model, as LiteRT reads it on this computer: benchmark_model does not tell."""
        return self._model

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """See `Device.run`.

        Raises:
            DataError, LinkError, DeviceError: as `Device.run`.
            ModelError: the program refuses the model.
        """
        name = self._fresh("outputs.bin")
        once = ["--num_runs=1", "--min_secs=0", "--warmup_runs=0", "--warmup_min_secs=0", f"--output_filepath={name}"]
        text = self._program.start([*self._push_inputs(inputs), *once])
        self._program.applied(text)
        if "output_filepath" in parse_unknown_flags(text):
            raise DeviceError(
                f"{self._program.where}: this build of benchmark_model writes no outputs (it does not know --output_filepath)",
                hint="take a newer build, or do not compare outputs",
            )
        data = self._remote.pull(name)
        sizes = [spec.bytes for spec in self._model.outputs]
        if len(data) != sum(sizes):
            raise LinkError(f"{self._program.where}: the outputs have {sum(sizes):,} bytes; {len(data):,} came", hint="run it again")
        ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
        return [data[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def measure(self, inputs: Sequence[bytes], *, runs: int, warmup: int) -> Measurement:
        """See `Device.measure`. At least `runs` runs are timed, for at least `min_seconds`, after at least one that is not.

        Raises:
            UserError: a number of runs that makes no sense.
            DeviceError: the delegate that was asked for took no op, or what the program says cannot be true.
            DataError, ModelError, DeviceError, LinkError: as `run`.
        """
        if not 1 <= runs <= MAX_RUNS or not 0 <= warmup <= MAX_RUNS:
            raise UserError(f"{runs:,} runs after {warmup:,} warm-ups cannot be measured", hint=f"ask for 1 to {MAX_RUNS:,}")
        files = self._push_inputs(inputs)
        before = look_at(self._remote)
        result = self._fresh("latency.pb")
        text = self._program.start([*files, *self._counts(runs, warmup), f"--result_file_path={result}"])
        after = look_at(self._remote)
        applied = self._program.applied(text)
        latency = self._latency(text, result)
        memory, memory_note = self._memory(files, applied)
        ops, ops_note = self._operators(files, applied)
        environment = {**self._environment(text, applied, latency), **memory_note, **ops_note}
        return Measurement(
            unit="us",
            samples=(),
            first=latency.first,
            summary=latency.summary(),
            named_ops=ops,
            peak_rss_bytes=memory.peak_bytes,
            model_ram_bytes=memory.added_bytes,
            conditions=between(before, after, threads=self._threads, cores=self._cores),
            environment=environment,
        )

    def close(self) -> None:
        self._remote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._remote.__exit__(kind, error, trace)

    # --- the three runs

    def _latency(self, text: str, result: str) -> ToldLatency:
        """From the result file, else from the text; where both tell, they must agree."""
        written = self._result_file(result)
        in_file = None if written is None else written.latency
        try:
            told = parse_latency(text)
        except ValueError as e:
            if in_file is not None:
                return in_file
            raise DeviceError(
                f"{self._program.where}: what benchmark_model says makes no sense: {e}", hint=f"is {self._path} LiteRT's benchmark_model?"
            ) from e
        if in_file is None:
            return told
        if in_file.runs.count != told.runs.count:
            raise DeviceError(
                f"{self._program.where}: benchmark_model tells {told.runs.count:,} runs, and writes {in_file.runs.count:,}",
                hint="measure again",
            )
        return in_file

    def _memory(self, files: Sequence[str], applied: Applied) -> tuple[ToldMemory, dict[str, str]]:
        result = self._fresh("memory.pb")
        flags = ["--report_peak_memory_footprint=true", f"--result_file_path={result}"]
        text, note = self._aside("memory", [*files, *self._counts(_MEMORY_RUNS, 1, quick=True), *flags], applied)
        if text is None:
            return ToldMemory(None, None), note
        told = parse_memory(text)
        written = self._result_file(result)
        if written is None:
            return told, note
        return ToldMemory(
            told.peak_bytes if written.memory.peak_bytes is None else written.memory.peak_bytes,
            told.added_bytes if written.memory.added_bytes is None else written.memory.added_bytes,
        ), note

    def _operators(self, files: Sequence[str], applied: Applied) -> tuple[tuple[TimedOp, ...], dict[str, str]]:
        name = self._fresh("operators.csv")
        profiling = ["--enable_op_profiling=true", "--op_profiling_output_mode=csv", f"--op_profiling_output_file={name}"]
        text, note = self._aside("operators", [*files, *self._counts(_OPERATOR_RUNS, 1, quick=True), *profiling], applied)
        if text is None:
            return (), note
        data = self._program.pull_if_there(name, MAX_FILE_BYTES)
        ops = parse_operators(data.decode("utf-8", "replace")) if data is not None else ()
        # Older builds know no such file, and print their table.
        return ops or parse_operators(text), note

    def _aside(self, what: str, flags: Sequence[str], applied: Applied) -> tuple[str | None, dict[str, str]]:
        """A run beside the timed one: where it fails, its facts stay unknown, with a note. A lost link and a run without end are errors."""
        code, text = self._program.call(flags)
        if code != 0:
            return None, {what: f"not measured: benchmark_model ended with exit code {code}"}
        if self._program.delegate is not None and parse_applied(text, self._program.delegate) is not applied:
            return None, {what: "not measured: another share of the model ran on the delegate"}
        return text, {}

    # --- the program

    def _counts(self, runs: int, warmup: int, *, quick: bool = False) -> list[str]:
        min_s, warmup_s = (0.0, 0.0) if quick else self._seconds
        return [
            f"--num_runs={runs}",
            f"--min_secs={min_s:g}",
            f"--max_secs={MAX_SECONDS:g}",
            f"--warmup_runs={max(warmup, 1)}",
            f"--warmup_min_secs={warmup_s:g}",
        ]

    def _environment(self, text: str, applied: Applied, latency: ToldLatency) -> dict[str, str]:
        unknown = parse_unknown_flags(text)
        kernels = self._kernels.value
        if self._kernels is BenchmarkKernels.BUILTIN and "use_xnnpack" in unknown:
            kernels = "default (this build does not know --use_xnnpack)"
        elif self._program.delegate is not None and applied is not Applied.WHOLE:
            kernels = f"{kernels} ({applied.value})"
        numbers = {"init_us": latency.init_us, "p5_us": latency.runs.p5, "p95_us": latency.runs.p95, "max_us": latency.runs.max}
        return {
            "benchmark_model": f"sha256 {_sha256(self._path)[:12]}",
            "kernels": kernels,
            **{name: f"{value:g}" for name, value in numbers.items() if value is not None},
            **({"machine": self._seen.machine} if self._seen.machine else {}),
            **({"unknown flags": ", ".join(unknown)[:200]} if unknown else {}),
        }

    # --- files

    def _push_inputs(self, inputs: Sequence[bytes]) -> list[str]:
        """Copy the inputs there; the flags that name them. Their names are ours: benchmark_model goes by their order."""
        check_inputs(inputs, self._model.inputs)
        names = [f"in{index}" for index in range(len(inputs))]
        self._program.push({f"{name}.bin": data for name, data in zip(names, inputs, strict=True)})
        shapes = ":".join(",".join(str(n) for n in spec.shape) for spec in self._model.inputs)
        return [
            f"--input_layer={','.join(names)}",
            f"--input_layer_shape={shapes}",
            f"--input_layer_value_files={','.join(f'{name}:{name}.bin' for name in names)}",
        ]

    def _fresh(self, name: str) -> str:
        """A file's name that no earlier run has written: what a run leaves out must not be found."""
        self._files += 1
        return f"{self._files}-{name}"

    def _result_file(self, name: str) -> ResultFile | None:
        """What the result file tells; None for a build that writes none, or for one that is damaged: the text tells the same."""
        data = self._program.pull_if_there(name, RESULT_BYTES)
        try:
            return parse_result_file(data) if data else None
        except ValueError:
            return None


def _check_shapes(model: DeviceModel) -> None:
    """benchmark_model takes shapes as lists of numbers, and has no word for an empty one."""
    for spec in model.inputs:
        if not spec.shape:
            raise DataError(
                f"input {spec.name} is a scalar, which benchmark_model cannot be given",
                hint="measure with the Python runtime (--engine litert without --benchmark-model)",
            )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as e:
        raise OutputError(f"{path}: cannot be read: {e.strerror}", hint="check the file's name and rights") from e
