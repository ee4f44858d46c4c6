"""A machine with Linux or Android as a device: generated C with the runner around it (firmware/runner), started over a `Remote`.

What comes back is untrusted: `runner_json` checks it before it is believed. docs/runner.md describes program and documents.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from edgecompress.artifact import ModelInfo
from edgecompress.conditions import Conditions, drift_of
from edgecompress.device.interface import DeviceModel, check_inputs, device_model
from edgecompress.device.remote import Finished, Remote, closed_on_failure
from edgecompress.device.runner_json import InfoAnswer, MeasureAnswer, RunAnswer, Zone, parse_answer
from edgecompress.errors import DeviceError, LinkError, MismatchError, OutputError, UserError
from edgecompress.profile import Measurement

PROGRAM = "runner"
# At most so many runs are timed: EC_MAX_SAMPLES of firmware/runner/arguments.h; cores: EC_MAX_CORES of cores.h.
MAX_RUNS = 100_000
MAX_CORES = 1024
MAX_SECONDS = 3600.0
INFO_TIMEOUT_S = 30.0
RUN_TIMEOUT_S = 120.0
# Beside the times that were asked for: the first run, and slow models that reach their count long after their time.
MEASURE_EXTRA_TIMEOUT_S = 600.0

# What exit codes mean, and what to do: firmware/runner/main.c, and a shell's own.
_OTHER_MACHINE = "the program is for another architecture, or lies where nothing may be executed"
_MEANING = {
    2: ("did not understand its command line", "report this with the command"),
    3: ("could not read an input or write an output", "free some space on the device"),
    4: ("reports that the model failed", "build it again; if it stays, report it with the model"),
    5: ("may not use such a core now", "choose another core, or any"),
    6: ("found no memory", "end other programs on the device"),
    7: ("could not write its answer", "try again"),
    126: ("cannot be executed there", _OTHER_MACHINE),
    127: ("cannot be found or executed there", _OTHER_MACHINE),
}
_SIGNALS = {
    4: "illegal instruction",
    6: "abort",
    7: "bus error",
    8: "arithmetic fault",
    9: "killed",
    11: "segmentation fault",
    31: "bad call",
}
_ILLEGAL = 4
# User-mode emulators name the process, which the program reports.
_EMULATORS = ("qemu-", "box64", "FEX")
# Sensors that are off report values such as -40 or -273 degrees; no core computes beyond 150.
_COLDEST, _HOTTEST = -30_000, 150_000

_Answer = TypeVar("_Answer", InfoAnswer, RunAnswer, MeasureAnswer)


class CoreClass(Enum):
    """Which core the model is held to: the one with the highest or the lowest maximum frequency, or none."""

    FAST = "fast"
    SLOW = "slow"
    ANY = "any"


def parse_core(text: str) -> CoreClass | int:
    """`fast`, `slow`, `any`, or a core's number.

    Raises:
        UserError: it is none of these.
    """
    if text.isascii() and text.isdigit() and len(text) <= 4 and int(text) < MAX_CORES:
        return int(text)
    try:
        return CoreClass(text)
    except ValueError as e:
        raise UserError(f"there is no core {text!r:.40}", hint=f"choose fast, slow, any, or a number below {MAX_CORES:,}") from e


def open_native(
    remote: Remote,
    executable: Path,
    info: ModelInfo,
    *,
    core: CoreClass | int = CoreClass.FAST,
    min_seconds: float = 1.0,
    warmup_seconds: float = 0.5,
) -> NativeDevice:
    """A program of `build_runner` on another machine, or on this one.

    Args:
        remote: open; it belongs to the device from here on, and `close` closes it.
        executable: of the machine's kind.
        info: of the model in it.
        core: for measurements.
        min_seconds, warmup_seconds: measurements take at least so long, whatever number of runs is asked for.

    Raises:
        UserError: a core or a time that makes no sense.
        DeviceError: the program does not start there.
        LinkError: the link was lost, or it holds another model.
    """
    with closed_on_failure(remote):
        _check_options(core, min_seconds, warmup_seconds)
        return NativeDevice(remote, executable, info, core, min_seconds, warmup_seconds)


def _check_options(core: CoreClass | int, min_seconds: float, warmup_seconds: float) -> None:
    for name, seconds in (("min_seconds", min_seconds), ("warmup_seconds", warmup_seconds)):
        if not 0 <= seconds <= MAX_SECONDS:
            raise UserError(f"{name} is {seconds:g}; expected 0 to {MAX_SECONDS:g}", hint="start with 1")
    if isinstance(core, int) and not 0 <= core < MAX_CORES:
        raise UserError(f"there is no core {core}", hint=f"choose fast, slow, any, or a number below {MAX_CORES:,}")


class NativeDevice:
    """See `open_native`; the rest is `Device`."""

    def __init__(
        self, remote: Remote, executable: Path, info: ModelInfo, core: CoreClass | int, min_seconds: float, warmup_seconds: float
    ) -> None:
        self._remote = remote
        self._info = info
        self._core = core
        self._min_seconds = min_seconds
        self._warmup_seconds = warmup_seconds
        remote.push(executable, PROGRAM, executable=True)
        self._check_model(self._ask(InfoAnswer, ["info"], INFO_TIMEOUT_S))

    def info(self) -> DeviceModel:
        """The model; that the program holds it was checked when the device was opened."""
        return device_model(self._info)

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        check_inputs(inputs, self._info.inputs)
        outputs = [f"out{index}.bin" for index in range(len(self._info.outputs))]
        answer = self._ask(RunAnswer, ["run", *self._push_inputs(inputs), "-o", *outputs], RUN_TIMEOUT_S)
        if len(answer.output_crc32) != len(outputs):
            raise self._garbage(f"it speaks of {len(answer.output_crc32)} output(s), not of {len(outputs)}")
        return [self._pull_output(index, name, answer.output_crc32[index]) for index, name in enumerate(outputs)]

    def measure(self, inputs: Sequence[bytes], *, runs: int, warmup: int) -> Measurement:
        """See `Device.measure`. At least `runs` runs are timed, for at least `min_seconds`; `first` is the first run of a new process.

        Before, the model runs once by itself, in another process: the timed runs must give the same bytes.

        Raises:
            MismatchError: they do not.
            UserError: more runs than are kept.
            DeviceError: the machine is emulated, so that its times mean nothing.
            DataError, DeviceError, LinkError: as `run`.
        """
        if not 1 <= runs <= MAX_RUNS or not 0 <= warmup <= MAX_RUNS:
            raise UserError(
                f"{runs:,} runs after {warmup:,} warm-ups cannot be measured; expected at most {MAX_RUNS:,} of each",
                hint="ask for fewer runs; time is added to them by itself",
            )
        crc32 = 0
        for output in self.run(inputs):
            crc32 = zlib.crc32(output, crc32)
        command = ["measure", "--core", str(self._core.value if isinstance(self._core, CoreClass) else self._core)]
        command += ["--runs", str(runs), "--min-ms", _milliseconds(self._min_seconds)]
        command += ["--warmup", str(warmup), "--warmup-ms", _milliseconds(self._warmup_seconds)]
        timeout_s = self._min_seconds + self._warmup_seconds + MEASURE_EXTRA_TIMEOUT_S
        answer = self._ask(MeasureAnswer, [*command, *self._push_inputs(inputs)], timeout_s)
        self._check_measurement(answer, runs)
        if answer.outputs_crc32 != crc32:
            raise MismatchError(
                f"{self._where}: the timed runs gave other bytes than a single run of the same inputs",
                hint="measure again; if it stays, the device's memory or clock is not sound",
            )
        return _measurement(answer)

    def close(self) -> None:
        self._remote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._remote.__exit__(kind, error, trace)

    def _push_inputs(self, inputs: Sequence[bytes]) -> list[str]:
        """Copy the inputs there; their names."""
        names = [f"in{index}.bin" for index in range(len(inputs))]
        try:
            with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
                for name, data in zip(names, inputs, strict=True):
                    path = Path(folder) / name
                    path.write_bytes(data)
                    self._remote.push(path, name)
        except OSError as e:
            raise OutputError(f"{tempfile.gettempdir()}: cannot be written: {e.strerror}", hint="set TMPDIR to another folder") from e
        return names

    def _pull_output(self, index: int, name: str, crc32: int) -> bytes:
        data = self._remote.pull(name)
        expected = self._info.outputs[index].bytes
        if len(data) != expected:
            raise LinkError(f"{self._where}: output {index} has {expected:,} bytes; {len(data):,} came", hint="run it again")
        if zlib.crc32(data) != crc32:
            raise LinkError(f"{self._where}: output {index} was damaged on its way: its CRC-32 is wrong", hint="run it again")
        return data

    def _ask(self, kind: type[_Answer], arguments: Sequence[str], timeout_s: float) -> _Answer:
        """Start the program and read its answer.

        Raises:
            DeviceError: it failed.
            LinkError: it answered with something else.
        """
        done = self._remote.run([f"./{PROGRAM}", *arguments], timeout_s=timeout_s)
        if done.exit_code != 0:
            raise self._failure(arguments[0], done)
        try:
            answer = parse_answer(kind, done.stdout)
        except ValueError as e:
            raise self._garbage(str(e)) from e
        if answer.sha256 != self._info.sha256:
            raise self._garbage(f"it holds the model with sha256 {answer.sha256[:12]}, not {self._info.sha256[:12]}")
        return answer

    def _failure(self, verb: str, done: Finished) -> DeviceError:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        # What is wrong comes first, the program's usage last.
        words = f": {said[0][:200]}" if said else ""
        signal = done.exit_code - 128
        if signal in _SIGNALS:
            hint = (
                "build it for this core, without tuning" if signal == _ILLEGAL else "measure again; if it stays, report it with the model"
            )
            return DeviceError(f"{self._where}: `{PROGRAM} {verb}` was ended by signal {signal} ({_SIGNALS[signal]}){words}", hint=hint)
        meaning, hint = _MEANING.get(done.exit_code, (f"ended with exit code {done.exit_code}", _OTHER_MACHINE))
        return DeviceError(f"{self._where}: `{PROGRAM} {verb}` {meaning}{words}", hint=hint)

    def _garbage(self, what: str) -> LinkError:
        return LinkError(
            f"{self._where}: the runner's answer makes no sense: {what}", hint="check the cable or the network, then try again"
        )

    @property
    def _where(self) -> str:
        return f"{self._info.name} on {self._remote.name}"

    def _check_model(self, answer: InfoAnswer) -> None:
        info = self._info
        expected = (info.arena_bytes, len(info.steps), [spec.bytes for spec in info.inputs], [spec.bytes for spec in info.outputs])
        came = (answer.arena_bytes, answer.step_count, list(answer.input_bytes), list(answer.output_bytes))
        if came != expected:
            raise self._garbage("its arena, steps, inputs or outputs are not the model's")

    def _check_measurement(self, answer: MeasureAnswer, runs: int) -> None:
        if answer.process is not None and answer.process.startswith(_EMULATORS):
            raise DeviceError(
                f"{self._where}: the machine is emulated ({answer.process}); its clock says nothing about a real one",
                hint="run the model there to compare bytes, and measure on a device",
            )
        if len(answer.samples_ns) < runs:
            raise self._garbage(f"{len(answer.samples_ns):,} runs came, fewer than the {runs:,} that were asked for")
        if len(answer.steps_ns) != len(self._info.steps):
            raise self._garbage(f"{len(answer.steps_ns):,} steps came; the model has {len(self._info.steps):,}")
        # Every run lies inside the timed part; a clock of the future or a lost digit does not.
        if sum(answer.samples_ns) > answer.wall_ns:
            raise self._garbage("its runs took longer than all of them together")


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _measurement(answer: MeasureAnswer) -> Measurement:
    samples = tuple(value / 1000 for value in answer.samples_ns)
    return Measurement(
        unit="us",
        samples=samples,
        first=answer.first_ns / 1000,
        ops=tuple(value / 1000 for value in answer.steps_ns),
        peak_rss_bytes=_bytes_of(answer.peak_rss_kb),
        model_ram_bytes=_added(answer.rss_before_kb, answer.rss_after_kb),
        conditions=_conditions(answer, samples),
        environment=_environment(answer),
    )


def _conditions(answer: MeasureAnswer, samples: Sequence[float]) -> Conditions:
    return Conditions(
        threads=1,
        cores=None if answer.core is None else (answer.core,),
        core_max_khz=answer.core_max_khz,
        khz_before=answer.khz_before,
        khz_after=answer.khz_after,
        cpu_over_wall=answer.cpu_ns / answer.wall_ns if answer.wall_ns else None,
        drift=drift_of(samples),
        celsius_before=_celsius(answer.zones_before),
        celsius_after=_celsius(answer.zones_after),
    )


def _environment(answer: MeasureAnswer) -> dict[str, str]:
    facts = {"machine": answer.machine, "kernel": answer.kernel, "clock_overhead_ns": str(answer.clock_overhead_ns)}
    if answer.stride > 1:
        facts["timed_runs"] = f"one of {answer.stride}"
    return {name: value for name, value in facts.items() if value is not None}


def _bytes_of(kib: int | None) -> int | None:
    return None if kib is None else kib * 1024


def _added(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(after - before, 0) * 1024


def _celsius(zones: Sequence[Zone]) -> dict[str, float] | None:
    """By the zone's type; a type that several zones have takes their numbers along. None when no zone says anything that can be true."""
    plausible = [zone for zone in zones if _COLDEST <= zone.millicelsius <= _HOTTEST]
    types = [zone.type for zone in plausible]
    found = {
        zone.type if zone.type and types.count(zone.type) == 1 else f"{zone.type or 'zone'} {zone.zone}": zone.millicelsius / 1000
        for zone in plausible
    }
    return found or None
