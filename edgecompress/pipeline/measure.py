"""One model on one device, measured: the numbers, the memory, and whether the bytes are right."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from edgecompress import __version__
from edgecompress.artifact import Engine, Firmware, ModelInfo
from edgecompress.device import DeviceModel
from edgecompress.errors import MismatchError, ModelError
from edgecompress.numerics.lcg import lcg_inputs
from edgecompress.pipeline.firmware import LOCAL, OpenedTarget, check_host_engine, open_target, require_model
from edgecompress.pipeline.reference import Runner, check_parity
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
    toolchain: str = "zig",
    parity_inputs: int = 3,
    reference: Path | None = None,
    commands: Sequence[str] = (),
    accuracy: Accuracy | None = None,
    tags: Sequence[str] = (),
) -> Profile:
    """Measure one model on one device.

    Args:
        target: a target's name or file, `local`, or `serial:` with `port`.
        model: a .tflite or a firmware.elf; None for what a device on `port` runs.
        runs, warmup: timed and untimed inferences; defaults differ for counted instructions and read clocks.
        parity_inputs: how many generated inputs (seeds 1, 2, ...) are compared with the reference kernels; 0 skips it.
        reference: the .tflite behind a firmware.elf, so that its outputs can be compared as well.
        commands: how this measurement was asked for, kept in the profile.

    Raises:
        DeviceError: the device is absent, silent or faulted.
        BudgetError: the firmware does not fit the target.

    Example:
        >>> edgecompress.measure("cortex-m4", Path("digits.tflite")).latency.unit
        'instructions'
    """
    if target == LOCAL:
        profile = _measure_host(load_model(require_model(model, target)), engine, runs, warmup, parity_inputs)
    else:
        source = reference or (model if model is not None and not is_firmware(model) else None)
        known = None if source is None else load_model(source)
        with open_target(target, model, engine=engine, port=port, toolchain=toolchain) as opened:
            profile = _measure_device(target, opened, known, runs, warmup, parity_inputs)
    return profile.model_copy(
        update={
            "accuracy": accuracy,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commands": tuple(commands) or None,
            "tags": tuple(tags) or None,
        }
    )


def _measure_host(model: LoadedModel, engine: Engine | None, runs: int | None, warmup: int | None, parity_inputs: int) -> Profile:
    from edgecompress.device import open_host

    check_host_engine(engine)
    graph = model.graph
    sizes = [graph.tensor(i).bytes for i in graph.inputs]
    with open_host(model.data) as host:
        measured = host.measure(lcg_inputs(1, sizes), runs=runs or RUNS_TIMED, warmup=WARMUP_TIMED if warmup is None else warmup)
        parity = _host_parity(host.run, model, _parity_samples(sizes, parity_inputs))
    return Profile(
        target=LOCAL,
        model=ProfiledModel(name=graph.name, sha256=graph.sha256, macs=graph.macs, parameters=graph.parameters),
        engine="litert",
        toolchain=None,
        latency=summarize(measured),
        memory=Memory(),
        parity=parity,
        environment=_environment(measured),
    )


def _host_parity(run: Runner, model: LoadedModel, samples: Sequence[Sequence[bytes]]) -> Parity | None:
    """LiteRT against the reference kernels; None for a model that only LiteRT takes, such as float16 or dynamic range."""
    try:
        return check_parity(run, model, samples)
    except ModelError:
        return None


def _measure_device(
    target: str, opened: OpenedTarget, model: LoadedModel | None, runs: int | None, warmup: int | None, parity_inputs: int
) -> Profile:
    device, firmware, facts = opened.device, opened.firmware, opened.target
    info = device.info()
    expected = firmware.info.sha256 if firmware else model.graph.sha256 if model else info.sha256
    if info.sha256 != expected:
        raise MismatchError(
            f"the device runs {info.name} (sha256 {info.sha256[:12]}), not the file with sha256 {expected[:12]}",
            hint="flash the firmware first, or leave the file out to measure what the device runs",
        )
    sizes = [spec.bytes for spec in info.inputs]
    measured = device.measure(lcg_inputs(1, sizes), runs=runs or RUNS_COUNTED, warmup=WARMUP_COUNTED if warmup is None else warmup)
    parity = None if model is None else check_parity(device.run, model, _parity_samples(sizes, parity_inputs))
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
    )


def _parity_samples(sizes: Sequence[int], count: int) -> list[list[bytes]]:
    return [lcg_inputs(seed, sizes) for seed in range(1, count + 1)]


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
    )


def _ops(firmware: Firmware | None, measured: Measurement) -> tuple[ProfiledOp, ...]:
    """Per-step numbers, named by the firmware's manifest; without it the device's steps are known by number only."""
    if firmware is None:
        return tuple(ProfiledOp(name=f"step {i}", kind="", macs=None, latency=value) for i, value in enumerate(measured.ops))
    values = measured.ops or (None,) * len(firmware.info.steps)
    return tuple(
        ProfiledOp(name=step.name, kind=step.kind, macs=step.macs, latency=value, fused=step.fused)
        for step, value in zip(firmware.info.steps, values, strict=True)
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
