"""Targets with an operating system: this computer, a phone behind adb, a board behind ssh; and what runs a model there.

local, ssh:USER@HOST, adb:SERIAL  x  aot             the generated C as one static program (the native runner)
local, ssh:USER@HOST              x  litert, tflite-runtime    a Python script of one file, under that machine's Python
adb:SERIAL, ssh:USER@HOST         x  litert          LiteRT's benchmark_model, which the user names
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.artifact import Engine, MemorySizes, ModelInfo
from edgecompress.device import Device
from edgecompress.device.remote import LocalRemote, Remote, closed_on_failure
from edgecompress.errors import DeviceError, TargetError, UserError
from edgecompress.pipeline.sources import LoadedModel, generate_sources
from edgecompress.progress import Progress, silent
from edgecompress.target import KernelSet

if TYPE_CHECKING:
    from edgecompress.device.adb import PhoneFacts

LOCAL = "local"
ADB = "adb:"
SSH = "ssh:"
BENCHMARK_MODEL = "EDGECOMPRESS_BENCHMARK_MODEL"
_UNAME_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Seconds:
    """The least time of a measurement, and of its warm-up."""

    timed: float = 0.0
    warmup: float = 0.0


@dataclass(frozen=True)
class MachineOptions:
    """How a model runs on a machine.

    Attributes:
        threads: of LiteRT; the generated C has one.
        kernels: of LiteRT: `xnnpack`, `builtin`, `reference` or `gpu`; None for LiteRT's own choice.
        core: `fast`, `slow`, `any`, or a core's number.
        benchmark_model: LiteRT's program for that machine; $EDGECOMPRESS_BENCHMARK_MODEL when None.
        python: that machine's Python with LiteRT or tflite-runtime; None for the usual one.
        min_seconds: a measurement takes at least so long, whatever number of runs is asked for, and its warm-up half of it. None: a
            second, unless a number of runs (or of warm-ups) is asked for.
    """

    threads: int = 1
    kernels: str | None = None
    core: str = "fast"
    benchmark_model: Path | None = None
    python: str | None = None
    min_seconds: float | None = None

    def seconds(self, runs: int | None, warmup: int | None) -> Seconds:
        """How long to time and to warm up at least, when so many runs and warm-ups were asked for (None: neither)."""
        timed = self.min_seconds if self.min_seconds is not None else 1.0 if runs is None else 0.0
        return Seconds(timed, timed / 2 if warmup is None else 0.0)

    @property
    def program(self) -> Path | None:
        """The benchmark_model to use, where one was named."""
        named = os.environ.get(BENCHMARK_MODEL)
        return self.benchmark_model or (Path(named) if named else None)


@dataclass(frozen=True)
class OpenedMachine:
    """A machine that runs the model: what `measure` and `run` use.

    Attributes:
        info: of generated code; None for LiteRT, which knows its ops itself.
        sizes: of generated code, read from its program.
        facts: what the machine says of itself, for the profile's environment.
        kernels: of LiteRT, as asked for; None for generated code.
    """

    device: Device
    remote: Remote
    engine: Engine
    info: ModelInfo | None
    sizes: MemorySizes | None
    toolchain: str | None
    facts: dict[str, str]
    kernels: str | None = None

    def look(self) -> PhoneFacts | None:
        """The state of a phone now; None for other machines."""
        if not self.remote.name.startswith(ADB):
            return None
        from edgecompress.device.adb import phone_facts

        return phone_facts(self.remote)


def is_machine(target: str) -> bool:
    """Whether `target` has an operating system that runs programs for us."""
    return target == LOCAL or target.startswith((ADB, SSH))


@contextmanager
def open_machine(
    target: str,
    model: LoadedModel,
    *,
    engine: Engine | None,
    options: MachineOptions,
    seconds: Seconds = Seconds(),
    progress: Progress = silent,
) -> Iterator[OpenedMachine]:
    """A machine ready to run `model`.

    Args:
        seconds: of what is measured there.
        engine: None for the usual one: LiteRT on a computer or board, generated C on a phone, unless a benchmark_model was named.

    Raises:
        TargetError, UserError: the target, engine or options make no sense together.
        DeviceError: the machine is absent, refuses, or lacks what is needed.
    """
    engine = engine or _usual_engine(target, options)
    _check_options(target, engine, options)
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
        if engine is Engine.AOT:
            opened = _open_native(target, model, options, seconds, Path(folder), progress)
        elif target.startswith(ADB) or (engine is Engine.LITERT and options.benchmark_model is not None):
            opened = _open_benchmark_model(target, model, options, seconds, progress)
        else:
            opened = _open_worker(target, model, engine, options, seconds, progress)
        with opened.device:
            yield opened


def _usual_engine(target: str, options: MachineOptions) -> Engine:
    if not target.startswith(ADB):
        return Engine.LITERT
    return Engine.LITERT if options.benchmark_model is not None else Engine.AOT


def _check_options(target: str, engine: Engine, options: MachineOptions) -> None:
    if engine is Engine.TFLM:
        raise TargetError(f"{target} runs no firmware: the engine tflm is of cores", hint="choose --engine aot or litert, or name a core")
    if engine is Engine.AOT:
        for given, option in ((options.threads != 1, "--threads"), (options.kernels, "--kernels"), (options.python, "--python")):
            if given:
                raise UserError(f"{option} has no effect on generated C", hint="leave it out, or choose --engine litert")
        if options.benchmark_model is not None:
            raise UserError("--benchmark-model runs models through LiteRT, not generated C", hint="leave --engine out")
    if engine is Engine.TFLITE_RUNTIME and target.startswith(ADB):
        raise TargetError("a phone has no Python with tflite-runtime", hint="choose --engine aot, or litert with --benchmark-model")
    if engine is Engine.TFLITE_RUNTIME and options.benchmark_model is not None:
        raise UserError("--benchmark-model runs models through LiteRT, not tflite-runtime", hint="leave one of the two out")
    if engine is Engine.LITERT and target.startswith(ADB) and options.program is None:
        raise UserError(
            "LiteRT on a phone is its program benchmark_model, and none was named",
            hint=f"add --benchmark-model PATH or set ${BENCHMARK_MODEL}; docs/devices.md says where it comes from",
        )


def _reach(target: str, progress: Progress) -> Remote:
    """The machine behind a target, with a fresh folder.

    Raises:
        DeviceError: it is absent, or refuses.
    """
    if target.startswith(ADB):
        from edgecompress.device.adb import open_adb

        return open_adb(target.removeprefix(ADB) or None, progress=progress)
    if target.startswith(SSH):
        from edgecompress.device.ssh import open_ssh

        return open_ssh(target.removeprefix(SSH))
    return LocalRemote()


def _open_native(
    target: str, model: LoadedModel, options: MachineOptions, seconds: Seconds, folder: Path, progress: Progress
) -> OpenedMachine:
    from edgecompress.build.linux import Machine, Tune, build_runner, find_machine
    from edgecompress.device.native import open_native, parse_core

    core = parse_core(options.core)
    # What the generated C cannot do is said before a machine is looked for.
    portable = generate_sources(model, Engine.AOT, name=None, keep_input=False)
    remote = _reach(target, progress)
    with closed_on_failure(remote):
        facts = _facts(target, remote)
        machine = find_machine(_architecture(target, remote, facts))
        wide = machine in (Machine.X86_64, Machine.AARCH64)
        generated = generate_sources(model, Engine.AOT, name=None, keep_input=False, kernels=KernelSet.WIDE) if wide else portable
        # A program for this computer is used at once and nowhere else: it may use all that its processor has.
        tune = Tune.NATIVE if target == LOCAL else Tune.PORTABLE
        progress("building the program", 0, None)
        runner = build_runner(generated, machine, tune=tune, output=folder)
        facts["tuned for"] = "this processor" if tune is Tune.NATIVE else "any of its kind"
    times = {"min_seconds": seconds.timed, "warmup_seconds": seconds.warmup}
    device = open_native(remote, runner.executable, generated.info, core=core, **times)
    return OpenedMachine(device, remote, Engine.AOT, generated.info, runner.sizes, runner.toolchain, facts)


def _open_worker(
    target: str, model: LoadedModel, engine: Engine, options: MachineOptions, seconds: Seconds, progress: Progress
) -> OpenedMachine:
    from edgecompress.device.host import Kernels
    from edgecompress.device.native import parse_core
    from edgecompress.device.worker import local_python, open_worker

    core = parse_core(options.core)
    try:
        kernels = Kernels(options.kernels or Kernels.XNNPACK.value)
    except ValueError as e:
        raise UserError(f"LiteRT in Python has no kernels {options.kernels!r}", hint="choose xnnpack, builtin or reference") from e
    python = options.python or (local_python(engine, progress=progress) if target == LOCAL else "python3")
    remote = _reach(target, progress)
    with closed_on_failure(remote):
        facts = _facts(target, remote)
    device = open_worker(
        remote,
        model.data,
        engine=engine,
        python=python,
        kernels=kernels,
        threads=options.threads,
        core=core,
        min_seconds=seconds.timed,
        warmup_seconds=seconds.warmup,
    )
    return OpenedMachine(device, remote, engine, None, None, None, facts, kernels.value)


def _open_benchmark_model(target: str, model: LoadedModel, options: MachineOptions, seconds: Seconds, progress: Progress) -> OpenedMachine:
    from edgecompress.device.benchmark_model import BenchmarkKernels, open_benchmark_model
    from edgecompress.device.native import parse_core

    if options.python is not None:
        raise UserError("--python has no effect on benchmark_model, which is no Python", hint="leave one of the two out")
    program = options.program
    if program is None:
        raise UserError("no benchmark_model was named", hint=f"add --benchmark-model PATH or set ${BENCHMARK_MODEL}")
    core = parse_core(options.core)
    try:
        kernels = BenchmarkKernels(options.kernels or BenchmarkKernels.XNNPACK.value)
    except ValueError as e:
        raise UserError(f"benchmark_model has no kernels {options.kernels!r}", hint="choose xnnpack, builtin or gpu") from e
    remote = _reach(target, progress)
    with closed_on_failure(remote):
        facts = _facts(target, remote)
    device = open_benchmark_model(
        remote,
        program,
        model.data,
        kernels=kernels,
        threads=options.threads,
        core=core,
        min_seconds=seconds.timed,
        warmup_seconds=seconds.warmup,
    )
    return OpenedMachine(device, remote, Engine.LITERT, None, None, None, facts, kernels.value)


def _architecture(target: str, remote: Remote, facts: Mapping[str, str]) -> str:
    """What the machine calls itself: an Android ABI, or `uname -m`."""
    if target == LOCAL:
        return platform.machine()
    if target.startswith(ADB):
        if "abis" not in facts:
            raise DeviceError(f"{remote.name}: does not say which programs it runs (ro.product.cpu.abilist)", hint="restart the phone")
        return facts["abis"].split()[0]
    said = remote.run(["uname", "-m"], timeout_s=_UNAME_TIMEOUT_S)
    return said.stdout[:80].decode("ascii", "replace").strip()


def _facts(target: str, remote: Remote) -> dict[str, str]:
    """What a machine says of itself, for the profile."""
    if target == LOCAL:
        from edgecompress.device.host import cpu_model

        return {"cpu": cpu_model()}
    if not target.startswith(ADB):
        return {"board": remote.name}
    from edgecompress.device.adb import phone_facts

    facts = phone_facts(remote)
    said = {"phone": facts.title, "build": facts.build, "kernel": facts.kernel, "abis": " ".join(facts.abis)}
    return {name: value for name, value in said.items() if value}
