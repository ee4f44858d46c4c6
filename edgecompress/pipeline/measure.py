"""One model on one device, measured: the numbers, the memory, and whether the bytes are right."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress import __version__
from edgecompress.artifact import Engine, Firmware, ModelInfo, Streaming
from edgecompress.conditions import Conditions, judge
from edgecompress.device import DeviceModel
from edgecompress.errors import MismatchError, ModelError, TargetError, UserError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline.energy import energy_meter, no_energy_of, opened_monitor, with_energy
from edgecompress.pipeline.firmware import SERIAL, OpenedTarget, SerialPort, open_target, require_model, serial_port
from edgecompress.pipeline.machines import MachineOptions, OpenedMachine, is_machine, open_machine
from edgecompress.pipeline.mlperf import measure_mlperf, sample_size
from edgecompress.pipeline.reference import BUILTIN_TOLERANCE, LITERT_TOLERANCE, check_parity
from edgecompress.pipeline.samples import load_samples
from edgecompress.pipeline.sources import LoadedModel, is_firmware, load_model
from edgecompress.profile import (
    Accuracy,
    Limits,
    Measurement,
    Memory,
    Parity,
    PlanEntry,
    Profile,
    ProfiledModel,
    ProfiledOp,
    summarize,
)
from edgecompress.progress import Progress, silent
from edgecompress.protocol import SerialProtocol
from edgecompress.target import Optimize, SerialLink, load_target

if TYPE_CHECKING:
    from edgecompress.device.adb import PhoneFacts
    from edgecompress.device.session_log import Recording
    from edgecompress.instrument import Instrument
    from edgecompress.target import EnergyMeter

# An instruction count hardly depends on the input (below 0.05 % on MLPerf Tiny's models), a clock on a busy host does.
RUNS_COUNTED = 3
RUNS_TIMED = 100
WARMUP_COUNTED = 1
WARMUP_TIMED = 10


def measure(
    target: str,
    model: Path | None = None,
    *,
    engine: Engine | None = None,
    port: str | None = None,
    runs: int | None = None,
    warmup: int | None = None,
    toolchain: str | None = None,
    tflm_dir: Path | None = None,
    optimize: Optimize = Optimize.SPEED,
    parity_inputs: int = 3,
    data: str | None = None,
    reference: Path | None = None,
    commands: Sequence[str] = (),
    accuracy: Accuracy | None = None,
    tags: Sequence[str] = (),
    machine: MachineOptions | None = None,
    protocol: SerialProtocol = SerialProtocol.EDGECOMPRESS,
    record: Path | None = None,
    energy: Instrument | None = None,
    volts: float | None = None,
    stream: Streaming = Streaming.NONE,
    progress: Progress = silent,
) -> Profile:
    """Measure one model on one device.

    Args:
        target: a target's name or file, `local`, `adb:SERIAL`, `ssh:USER@HOST`, or `serial:` with `port`.
        model: a .tflite or a firmware.elf; None for what a device on `port` runs.
        toolchain, tflm_dir, optimize: see `build`.
        runs, warmup: timed and untimed inferences; defaults differ for counted instructions and read clocks. On a machine with an
            operating system, the usual 100 runs after 10 warm-ups go on for a second and half a second at least.
        parity_inputs: how many inputs are compared with the reference kernels; 0 skips it.
        data: real inputs for that, as `verify` takes them; the first is timed as well. Generated ones (seeds 1, 2, ...) when None.
        reference: the .tflite behind a firmware.elf, so that its outputs can be compared as well.
        machine: threads, kernels and core on a target with an operating system (`local`, `adb:`, `ssh:`).
        protocol: MLPERF_TINY when any firmware of that benchmark is on the board: its times only.
        record: where a log of the session with a board goes; `port="replay:FILE"` plays it back.
        energy: what measures a board's current, wired to its energy pin; None for the one that the target's file names, if any.
        volts: of the board's supply, where the instrument has to know it.
        stream: see `generate`; for a core whose firmware is built here.
        commands: how this measurement was asked for, kept in the profile.

    Raises:
        DeviceError: the device is absent, silent or faulted.
        BudgetError: the firmware does not fit the target.

    Example:
        >>> edgecompress.measure("cortex-m4", Path("digits.tflite")).latency.unit
        'instructions'
    """
    if stream is not Streaming.NONE and (is_machine(target) or target == SERIAL or model is None):
        raise UserError("layers go by rows in firmware that is built here", hint="leave --stream out, or name a core and a .tflite")
    recording = _recording(record, target, port, commands)
    if is_machine(target) and energy is not None:
        raise no_energy_of(target)
    if protocol is SerialProtocol.MLPERF_TINY:
        board = _mlperf_board(target, port)
        profile = _measure_mlperf(board, model, runs, warmup, recording, energy_meter(board.target, board.url, energy, volts))
    elif is_machine(target):
        loaded = load_model(require_model(model, target))
        options = machine or MachineOptions()
        seconds = options.seconds(runs, warmup)
        with open_machine(target, loaded, engine=engine, options=options, seconds=seconds, progress=progress) as opened_machine:
            progress("comparing and measuring", 0, None)
            profile = _measure_machine(target, opened_machine, loaded, runs, warmup, _samples(loaded, data, parity_inputs))
        left = opened_machine.remote.left_behind
        if left is not None:
            profile = profile.model_copy(update={"environment": {**(profile.environment or {}), "left behind": left}})
    else:
        facts = None if target == SERIAL else load_target(target)
        meter = energy_meter(facts, port, energy, volts)
        source = reference or (model if model is not None and not is_firmware(model) else None)
        known = None if source is None else load_model(source)
        with opened_monitor(meter) as monitor:
            with open_target(
                target,
                model,
                engine=engine,
                port=port,
                toolchain=toolchain,
                tflm_dir=tflm_dir,
                recording=recording,
                optimize=optimize,
                stream=stream,
            ) as opened:
                samples = [] if known is None else _samples(known, data, parity_inputs)
                profile = _measure_device(target, opened, known, runs, warmup, samples)
                input_bytes = sum(spec.bytes for spec in opened.device.info().inputs)
            found = None if monitor is None else serial_port(facts, port)
            if monitor is not None and found is not None:
                progress("measuring energy", 0, None)
                profile = with_energy(profile, monitor, found, input_bytes)
    return profile.model_copy(
        update={
            "accuracy": accuracy,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commands": tuple(commands) or None,
            "tags": tuple(tags) or None,
        }
    )


def _recording(record: Path | None, target: str, port: str | None, commands: Sequence[str]) -> Recording | None:
    """Raises TargetError: a device without a wire, of which there is no session."""
    if record is None:
        return None
    on_a_wire = not is_machine(target) and (port is not None or target == SERIAL or isinstance(load_target(target).link, SerialLink))
    if not on_a_wire:
        raise TargetError(f"a session is recorded of a board on a serial port; {target} is none", hint="leave --record out")
    from edgecompress.device.session_log import Recording

    return Recording(record, " && ".join(commands))


def _mlperf_board(target: str, port: str | None) -> SerialPort:
    """Raises TargetError: a device without a wire, which speaks no protocol."""
    facts = None if target == SERIAL or is_machine(target) else load_target(target)
    found = None if is_machine(target) else serial_port(facts, port)
    if found is None:
        raise TargetError(
            f"{SerialProtocol.MLPERF_TINY.value} is spoken by a board on a port, not by {target}", hint="write serial: --port /dev/ttyACM0"
        )
    return found


def _measure_mlperf(
    board: SerialPort,
    model: Path | None,
    runs: int | None,
    warmup: int | None,
    recording: Recording | None,
    meter: EnergyMeter | None,
) -> Profile:
    graph = None if model is None else load_model(model).graph
    size = None if graph is None else sum(graph.tensor(i).bytes for i in graph.inputs)
    with opened_monitor(meter) as monitor:
        profile = measure_mlperf(board, input_bytes=size, runs=runs, warmup=warmup, recording=recording)
        if monitor is None:
            return profile
        return with_energy(profile, monitor, board, sample_size(profile.model.name, size) or 0)


def _measure_machine(
    target: str, opened: OpenedMachine, model: LoadedModel, runs: int | None, warmup: int | None, samples: Sequence[Sequence[bytes]]
) -> Profile:
    graph, device = model.graph, opened.device
    timed = samples[0] if samples else lcg_inputs(1, [graph.tensor(i).bytes for i in graph.inputs])
    # Parity first: a wrong program is found before minutes of measuring.
    parity = _machine_parity(opened, model, samples)
    before = opened.look()
    measured = device.measure(timed, runs=runs or RUNS_TIMED, warmup=WARMUP_TIMED if warmup is None else warmup)
    conditions = _with_looks(measured.conditions or Conditions(), before, opened.look())
    return Profile(
        target=target,
        model=ProfiledModel(name=graph.name, sha256=graph.sha256, macs=graph.macs, parameters=graph.parameters),
        engine=opened.engine.value,
        toolchain=opened.toolchain,
        latency=summarize(measured),
        memory=_machine_memory(opened, measured),
        ops=_machine_ops(opened, measured),
        parity=parity,
        environment={**_environment(measured), **opened.facts},
        plan=None if opened.info is None else tuple(_plan(opened.info)),
        conditions=conditions,
        validity=judge(conditions),
    )


def _machine_parity(opened: OpenedMachine, model: LoadedModel, samples: Sequence[Sequence[bytes]]) -> Parity | None:
    """None for a model that only LiteRT takes, such as float16 or dynamic range."""
    if opened.engine is Engine.AOT:
        return check_parity(opened.device.run, model, samples)
    # tflite-runtime has XNNPACK in some builds only.
    single = opened.engine is Engine.LITERT and opened.kernels in ("xnnpack", "reference")
    try:
        return check_parity(opened.device.run, model, samples, tolerance=LITERT_TOLERANCE if single else BUILTIN_TOLERANCE)
    except ModelError:
        return None


def _with_looks(conditions: Conditions, before: PhoneFacts | None, after: PhoneFacts | None) -> Conditions:
    """What a phone said of itself before and after; the worse of the two counts."""
    looks = [look for look in (before, after) if look is not None]
    statuses = [look.thermal_status for look in looks if look.thermal_status is not None]
    savers = [look.battery_saver for look in looks if look.battery_saver is not None]
    return conditions.model_copy(update={"thermal_status": max(statuses, default=None), "battery_saver": any(savers) if savers else None})


def _machine_memory(opened: OpenedMachine, measured: Measurement) -> Memory:
    sizes = opened.sizes
    if sizes is None:
        return Memory(peak_rss_bytes=measured.peak_rss_bytes, model_ram_bytes=measured.model_ram_bytes)
    return Memory(
        code_bytes=sizes.code_bytes,
        model_bytes=sizes.model_bytes,
        harness_bytes=sizes.harness_bytes,
        flash_bytes=sizes.flash_bytes,
        arena_bytes=sizes.arena_bytes,
        # .data and .bss of the runner hold its samples, which no application has.
        peak_rss_bytes=measured.peak_rss_bytes,
        model_ram_bytes=measured.model_ram_bytes,
        arena_peak_bytes=None if opened.info is None else opened.info.arena_peak_bytes,
        arena_bound_bytes=None if opened.info is None else opened.info.arena_bound_bytes,
    )


def _machine_ops(opened: OpenedMachine, measured: Measurement) -> tuple[ProfiledOp, ...]:
    if opened.info is None:
        return tuple(ProfiledOp(name=op.name, kind=op.kind, macs=None, latency=op.latency) for op in measured.named_ops)
    return _steps_of(opened.info, measured)


def _measure_device(
    target: str,
    opened: OpenedTarget,
    model: LoadedModel | None,
    runs: int | None,
    warmup: int | None,
    samples: Sequence[Sequence[bytes]],
) -> Profile:
    device, firmware, facts = opened.device, opened.firmware, opened.target
    info = device.info()
    expected = firmware.info.sha256 if firmware else model.graph.sha256 if model else info.sha256
    if info.sha256 != expected:
        raise MismatchError(
            f"the device runs {info.name} (sha256 {info.sha256[:12]}), not the file with sha256 {expected[:12]}",
            hint="flash the firmware first, or leave the file out to measure what the device runs",
        )
    timed = samples[0] if samples else lcg_inputs(1, [spec.bytes for spec in info.inputs])
    measured = device.measure(timed, runs=runs or RUNS_COUNTED, warmup=WARMUP_COUNTED if warmup is None else warmup)
    parity = None if model is None else check_parity(device.run, model, samples)
    conditions = measured.conditions
    if conditions is not None and facts is not None:
        conditions = conditions.model_copy(update={"clock_hz_expected": facts.clock.hz})
    return Profile(
        target=facts.name if facts else target,
        model=_profiled_model(info, firmware),
        engine=info.engine.value,
        toolchain=firmware.toolchain if firmware else None,
        latency=summarize(measured),
        memory=_memory(info, firmware, measured),
        ops=_ops(firmware, measured),
        parity=parity,
        clock_hz=measured.clock_hz,
        cycles=measured.cycles,
        environment=_environment(measured),
        limits=None if facts is None else Limits(flash_bytes=facts.flash_bytes, ram_bytes=facts.ram_bytes),
        plan=None if firmware is None else tuple(_plan(firmware.info)),
        conditions=conditions,
        validity=None if conditions is None else judge(conditions),
    )


def _samples(model: LoadedModel, data: str | None, count: int) -> Sequence[Sequence[bytes]]:
    """Inputs to compare, as many as were asked for.

    Raises:
        DataError: the data is missing, or does not fit the model.
    """
    return load_samples(model.graph, data, count).inputs if count else ()


def _profiled_model(info: DeviceModel, firmware: Firmware | None) -> ProfiledModel:
    if firmware is None:
        return ProfiledModel(name=info.name, sha256=info.sha256, macs=None, parameters=None)
    return ProfiledModel(name=info.name, sha256=info.sha256, macs=firmware.info.macs, parameters=firmware.info.parameters)


def _memory(info: DeviceModel, firmware: Firmware | None, measured: Measurement) -> Memory:
    if firmware is None:
        return Memory(arena_bytes=info.arena_bytes, stack_bytes=measured.stack_bytes)
    sizes = firmware.sizes
    return Memory(
        code_bytes=sizes.code_bytes,
        model_bytes=sizes.model_bytes,
        harness_bytes=sizes.harness_bytes,
        flash_bytes=sizes.flash_bytes,
        arena_bytes=sizes.arena_bytes,
        static_ram_bytes=sizes.static_ram_bytes,
        stack_bytes=measured.stack_bytes,
        arena_peak_bytes=firmware.info.arena_peak_bytes,
        arena_bound_bytes=firmware.info.arena_bound_bytes,
        stack_bound_bytes=firmware.stack_bound_bytes,
    )


def _ops(firmware: Firmware | None, measured: Measurement) -> tuple[ProfiledOp, ...]:
    """Per-step numbers, named by the firmware's manifest; without it the device's steps are known by number only."""
    if firmware is None:
        return tuple(ProfiledOp(name=f"step {i}", kind="", macs=None, latency=value) for i, value in enumerate(measured.ops))
    return _steps_of(firmware.info, measured)


def _steps_of(info: ModelInfo, measured: Measurement) -> tuple[ProfiledOp, ...]:
    values = measured.ops or (None,) * len(info.steps)
    return tuple(
        ProfiledOp(name=step.name, kind=step.kind, macs=step.macs, latency=value, fused=step.fused)
        for step, value in zip(info.steps, values, strict=True)
    )


def _plan(info: ModelInfo) -> list[PlanEntry]:
    return [PlanEntry(tensor=b.tensor, offset=b.offset, bytes=b.bytes, first_op=b.first_op, last_op=b.last_op) for b in info.plan]


def _environment(measured: Measurement) -> dict[str, str]:
    return {
        "edgecompress": __version__,
        "python": platform.python_version(),
        "host": f"{platform.system()} {platform.machine()}",
        **measured.environment,
    }
