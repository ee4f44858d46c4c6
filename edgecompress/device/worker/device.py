"""A `Device` out of `litert_worker`: the script and the model are copied to a machine once, and each verb is one process there.

What comes back is untrusted: `answers` checks it before it is believed.
"""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from edgecompress.artifact import Engine
from edgecompress.conditions import Conditions, drift_of
from edgecompress.device.host import MAX_THREADS, Kernels
from edgecompress.device.interface import DeviceModel, check_inputs
from edgecompress.device.native import MAX_CORES, CoreClass
from edgecompress.device.remote import Finished, Remote, closed_on_failure
from edgecompress.device.worker.answers import MAX_SAMPLES, InfoAnswer, MeasureAnswer, RunAnswer, parse_answer, parse_complaint
from edgecompress.errors import DeviceError, LinkError, ModelError, OutputError, UserError
from edgecompress.profile import Measurement

SCRIPT = "litert_worker.py"
MODEL = "model.tflite"
# A Raspberry Pi with a slow card takes some 10 s to load numpy and the runtime.
INFO_TIMEOUT_S = 120.0
RUN_TIMEOUT_S = 180.0
# Beside the times that were asked for: loading, the first run, and slow models that reach their count long after their time.
MEASURE_EXTRA_TIMEOUT_S = 600.0
MAX_SECONDS = 3600.0
_FAILED = 3
_PACKAGES = {Engine.LITERT: "ai-edge-litert", Engine.TFLITE_RUNTIME: "tflite-runtime"}
# Sensors that are off report values such as -40 or -273 degrees; no core computes beyond 150.
_COLDEST, _HOTTEST = -30_000, 150_000

_Answer = TypeVar("_Answer", InfoAnswer, RunAnswer, MeasureAnswer)


def open_worker(
    remote: Remote,
    model_bytes: bytes,
    *,
    engine: Engine = Engine.LITERT,
    python: str = "python3",
    kernels: Kernels = Kernels.XNNPACK,
    threads: int = 1,
    core: CoreClass | int = CoreClass.ANY,
    min_seconds: float = 1.0,
    warmup_seconds: float = 0.5,
) -> WorkerDevice:
    """A .tflite under a Python runtime of another machine, or of another Python on this one.

    Args:
        remote: open; it belongs to the device from here on, and `close` closes it.
        model_bytes: of a file that `convert.read_tflite` has checked: a runtime can crash on a damaged one.
        engine: LITERT or TFLITE_RUNTIME.
        python: there, with numpy and the runtime; 3.8 or newer.
        core: for measurements. Several threads are held to all cores of the class, or to the one that is named.
        min_seconds, warmup_seconds: measurements take at least so long, whatever number of runs is asked for.

    Raises:
        UserError: an engine, number of threads, core or time that makes no sense.
        ModelError: the runtime refuses the model.
        DeviceError: the Python is not there, or lacks the runtime.
        LinkError: the link was lost.
    """
    with closed_on_failure(remote):
        _check_choices(engine, threads, core, (min_seconds, warmup_seconds))
        return WorkerDevice(remote, model_bytes, engine, python, kernels, threads, core, min_seconds, warmup_seconds)


class WorkerDevice:
    """See `open_worker`; the rest is `Device`."""

    def __init__(
        self,
        remote: Remote,
        model_bytes: bytes,
        engine: Engine,
        python: str,
        kernels: Kernels,
        threads: int,
        core: CoreClass | int,
        min_seconds: float,
        warmup_seconds: float,
    ) -> None:
        self._remote = remote
        self._engine = engine
        self._python = python
        self._sha256 = hashlib.sha256(model_bytes).hexdigest()
        self._common = ["--engine", engine.value, "--model", MODEL, "--kernels", kernels.value, "--threads", str(threads)]
        self._kernels = kernels
        self._core = str(core.value if isinstance(core, CoreClass) else core)
        self._seconds = (min_seconds, warmup_seconds)
        remote.push(Path(__file__).with_name(SCRIPT), SCRIPT)
        self._push({MODEL: model_bytes})
        self._model = self._ask_model()

    def info(self) -> DeviceModel:
        """The model as the runtime describes it; it has no name, and its memory is the heap's: `arena_bytes` is 0."""
        return self._model

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """See `Device.run`.

        Raises:
            DataError, LinkError, DeviceError: as `Device.run`.
            ModelError: the runtime fails.
        """
        outputs = [f"out{index}.bin" for index in range(len(self._model.outputs))]
        answer, _ = self._ask(RunAnswer, ["run", *self._common, *self._push_inputs(inputs), "--outputs", *outputs], RUN_TIMEOUT_S)
        if len(answer.output_crc32) != len(outputs):
            raise self._garbage(f"it speaks of {len(answer.output_crc32)} output(s), not of {len(outputs)}")
        return [self._pull_output(index, name, answer.output_crc32[index]) for index, name in enumerate(outputs)]

    def measure(self, inputs: Sequence[bytes], *, runs: int, warmup: int) -> Measurement:
        """See `Device.measure`. At least `runs` runs are timed, for at least `min_seconds`; `first` is the first run of a new process.

        Raises:
            UserError: more runs than are kept.
            DataError, ModelError, DeviceError, LinkError: as `run`.
        """
        if not 1 <= runs <= MAX_SAMPLES or not 0 <= warmup <= MAX_SAMPLES:
            raise UserError(
                f"{runs:,} runs after {warmup:,} warm-ups cannot be measured; expected at most {MAX_SAMPLES:,} of each",
                hint="ask for fewer runs; time is added to them by itself",
            )
        min_s, warmup_s = self._seconds
        times = [
            "--runs",
            str(runs),
            "--min-ms",
            str(round(min_s * 1000)),
            "--warmup",
            str(warmup),
            "--warmup-ms",
            str(round(warmup_s * 1000)),
        ]
        command = ["measure", *self._common, "--core", self._core, *times, *self._push_inputs(inputs)]
        answer, said = self._ask(MeasureAnswer, command, min_s + warmup_s + MEASURE_EXTRA_TIMEOUT_S)
        if len(answer.samples_ns) < runs:
            raise self._garbage(f"{len(answer.samples_ns):,} runs came, fewer than the {runs:,} that were asked for")
        # Every run lies inside the timed part; a clock that jumped or a lost digit does not.
        if sum(answer.samples_ns) > answer.wall_ns:
            raise self._garbage("its runs took longer than all of them together")
        return _measurement(answer, self._applied(said))

    def close(self) -> None:
        self._remote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._remote.__exit__(kind, error, trace)

    def _ask_model(self) -> DeviceModel:
        try:
            answer, _ = self._ask(InfoAnswer, ["info", *self._common], INFO_TIMEOUT_S)
        except LinkError:
            raise
        except DeviceError as e:
            # Nothing ran there yet: whatever went wrong, it is most likely the wrong Python.
            raise DeviceError(e.message, hint=self._python_hint) from e
        try:
            inputs = tuple(tensor.spec() for tensor in answer.inputs)
            outputs = tuple(tensor.spec() for tensor in answer.outputs)
        except ValueError as e:
            raise self._garbage(str(e)) from e
        return DeviceModel("", self._sha256, self._engine, 0, inputs, outputs, step_count=0)

    def _push_inputs(self, inputs: Sequence[bytes]) -> list[str]:
        """Copy the inputs there; the words that name them."""
        check_inputs(inputs, self._model.inputs)
        files = {f"in{index}.bin": data for index, data in enumerate(inputs)}
        self._push(files)
        return ["--inputs", *files]

    def _push(self, files: dict[str, bytes]) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
                for name, data in files.items():
                    path = Path(folder) / name
                    path.write_bytes(data)
                    self._remote.push(path, name)
        except OSError as e:
            raise OutputError(f"{tempfile.gettempdir()}: cannot be written: {e.strerror}", hint="set TMPDIR to another folder") from e

    def _pull_output(self, index: int, name: str, crc32: int) -> bytes:
        data = self._remote.pull(name)
        expected = self._model.outputs[index].bytes
        if len(data) != expected:
            raise LinkError(f"{self._where}: output {index} has {expected:,} bytes; {len(data):,} came", hint="run it again")
        if zlib.crc32(data) != crc32:
            raise LinkError(f"{self._where}: output {index} was damaged on its way: its CRC-32 is wrong", hint="run it again")
        return data

    def _ask(self, kind: type[_Answer], arguments: Sequence[str], timeout_s: float) -> tuple[_Answer, str]:
        """Start the script: its answer, and what it said on standard error.

        Raises:
            DeviceError, ModelError: it failed.
            LinkError: it answered with something else.
        """
        done = self._remote.run([self._python, SCRIPT, *arguments], timeout_s=timeout_s)
        if done.exit_code != 0:
            raise self._failure(done)
        if kind is InfoAnswer and not done.stdout.strip():  # the first thing that is asked of it
            raise DeviceError(
                f"{self._where}: {self._python} is no Python: given a script, it ended well without a word", hint=self._python_hint
            )
        try:
            answer = parse_answer(kind, done.stdout)
        except ValueError as e:
            raise self._garbage(str(e)) from e
        if (answer.sha256, answer.engine) != (self._sha256, self._engine.value):
            raise self._garbage(f"it ran the model with sha256 {answer.sha256[:12]} under {answer.engine}")
        return answer, done.stderr.decode("utf-8", "replace")

    def _failure(self, done: Finished) -> DeviceError | ModelError:
        complaint = parse_complaint(done.stdout) if done.exit_code == _FAILED else None
        package = _PACKAGES[self._engine]
        if complaint is None:
            said = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
            words = f": {said[-1][:200]}" if said else ""
            if done.exit_code > 128:
                return DeviceError(
                    f"{self._where}: {package} crashed (signal {done.exit_code - 128}){words}",
                    hint="try --kernels builtin or reference; if it stays, another version of the runtime",
                )
            return DeviceError(f"{self._where}: {self._python} ended with exit code {done.exit_code}{words}", hint=self._python_hint)
        if complaint.kind == "model":
            return ModelError(f"{package} refuses this model: {complaint.text}", hint="edgecompress inspect shows its ops")
        if complaint.kind == "engine":
            return DeviceError(f"{self._where}: {package} cannot be loaded: {complaint.text}", hint=self._python_hint)
        hint = "choose another core, or any" if complaint.kind == "core" else "the device may lack space; try again"
        return DeviceError(f"{self._where}: {complaint.text}", hint=hint)

    def _applied(self, said: str) -> dict[str, str]:
        # XNNPACK says when it is loaded; a build without it runs the built-in kernels without a word.
        if self._kernels is not Kernels.XNNPACK or "XNNPACK delegate" in said:
            return {"kernels": self._kernels.value}
        return {"kernels": "default (no XNNPACK announced)"}

    def _garbage(self, what: str) -> LinkError:
        return LinkError(
            f"{self._where}: the script's answer makes no sense: {what}", hint="check the cable or the network, then try again"
        )

    @property
    def _python_hint(self) -> str:
        return f"name a Python there (3.8 or newer) that has {_PACKAGES[self._engine]} and numpy: --python"

    @property
    def _where(self) -> str:
        return self._remote.name


def _check_choices(engine: Engine, threads: int, core: CoreClass | int, seconds: Sequence[float]) -> None:
    if engine not in _PACKAGES:
        raise UserError(f"engine {engine.value} is no Python runtime", hint="choose litert or tflite-runtime")
    if not 1 <= threads <= MAX_THREADS:
        raise UserError(f"threads is {threads}; expected 1 to {MAX_THREADS}", hint="start with 1")
    if isinstance(core, int) and not 0 <= core < MAX_CORES:
        raise UserError(f"there is no core {core}", hint=f"choose fast, slow, any, or a number below {MAX_CORES:,}")
    for value in seconds:
        if not 0 <= value <= MAX_SECONDS:
            raise UserError(f"{value:g} s cannot be measured; expected 0 to {MAX_SECONDS:g}", hint="start with 1")


def _measurement(answer: MeasureAnswer, applied: dict[str, str]) -> Measurement:
    samples = tuple(value / 1000 for value in answer.samples_ns)
    facts = {answer.engine: answer.engine_version, "python there": answer.python, "machine": answer.machine, "kernel": answer.kernel}
    added = None if answer.rss_before_kb is None or answer.rss_after_kb is None else max(answer.rss_after_kb - answer.rss_before_kb, 0)
    return Measurement(
        unit="us",
        samples=samples,
        first=answer.first_ns / 1000,
        peak_rss_bytes=None if answer.peak_rss_kb is None else answer.peak_rss_kb * 1024,
        model_ram_bytes=None if added is None else added * 1024,
        conditions=Conditions(
            threads=answer.threads,
            cores=answer.cores,
            core_max_khz=answer.core_max_khz,
            khz_before=answer.khz_before,
            khz_after=answer.khz_after,
            cpu_over_wall=answer.cpu_ns / answer.wall_ns if answer.wall_ns else None,
            drift=drift_of(samples),
            celsius_before=_celsius(answer.zones_before),
            celsius_after=_celsius(answer.zones_after),
        ),
        environment={**{name: value for name, value in facts.items() if value is not None}, **applied},
    )


def _celsius(zones: Sequence[tuple[str, int]]) -> dict[str, float] | None:
    """By the zone's type, the hottest of each; None when no zone says anything that can be true."""
    found: dict[str, float] = {}
    for kind, value in zones:
        if _COLDEST <= value <= _HOTTEST:
            found[kind] = max(value / 1000, found.get(kind, value / 1000))
    return found or None
