"""From a .tflite to C, from C to firmware, and raw bytes through it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.artifact import Engine, Firmware, GeneratedModel, Streaming
from edgecompress.device import Device
from edgecompress.errors import DeviceError, ModelError, UserError
from edgecompress.files import staging, write_text
from edgecompress.pipeline.machines import MachineOptions, is_machine, open_machine
from edgecompress.pipeline.sources import LoadedModel, generate_sources, is_firmware, load_model, refuse_keep_input, refuse_stream
from edgecompress.target import EmulatorLink, KernelSet, Optimize, SerialLink, Target, load_target

if TYPE_CHECKING:
    from edgecompress.build.layouts import ProjectLayout
    from edgecompress.device.session_log import Recording

SERIAL = "serial:"
# The MLPerf Tiny runner's rate, for a device whose facts are unknown.
DEFAULT_BAUD = 115200


def generate(
    model: Path,
    *,
    engine: Engine = Engine.AOT,
    output: Path,
    name: str | None = None,
    keep_input: bool = False,
    layout: ProjectLayout | None = None,
    kernels: KernelSet = KernelSet.PORTABLE,
    offline_plan: bool = True,
    optimize: Optimize = Optimize.SPEED,
    stream: Streaming = Streaming.NONE,
) -> list[Path]:
    """Write the model as C sources into the folder `output`.

    For the aot engine the kernels that the model calls come along, so that the folder compiles by itself:
    `cc -std=c11 -I. -Iedgecompress/include -c *.c edgecompress/kernels/*.c`.

    Args:
        layout: a project of this ecosystem, with a main that runs a golden vector; None for the sources alone.
        kernels: those of the aot engine; all but the portable ones want cores with their instruction set.
        offline_plan: for the tflm engine: our memory plan goes into the model where that lowers its arena.
        optimize: for the aot engine: the fastest kernels, or packed weights and the smallest arena.
        stream: for the aot engine: first layers go by rows, for a smaller arena and the same bytes; with INPUT your application writes the
            function that delivers rows of the input.

    Returns:
        The files that were written.

    Raises:
        ModelError: the file is not a .tflite, or the engine lacks one of its ops; with a layout, the reference cannot run it.
        OutputError: the folder cannot be written.

    Example:
        >>> edgecompress.generate(Path("digits.tflite"), output=Path("src"))[0]
        PosixPath('src/digits.h')
    """
    loaded = load_model(model, name=name)
    if stream is Streaming.INPUT and layout is not None:
        raise UserError(
            "a project's main holds the whole input, and cannot deliver it by rows", hint="leave --layout out, or use --stream rows"
        )
    sources = generate_sources(
        loaded, engine, name=name, keep_input=keep_input, kernels=kernels, offline_plan=offline_plan, optimize=optimize, stream=stream
    )
    files = _source_files(sources) if layout is None else _project_files(loaded, sources, layout)
    with staging(output) as folder:
        for file, text in files.items():
            write_text(folder / file, text)
    return [output / file for file in files]


def _source_files(sources: GeneratedModel) -> dict[str, str]:
    """The generated sources and the kernels that they call."""
    files = dict(sources.files)
    if sources.info.engine is Engine.AOT:
        from edgecompress.build.kernel_files import kernel_files

        files |= kernel_files(sources.kernels)
    return files


def _project_files(model: LoadedModel, sources: GeneratedModel, layout: ProjectLayout) -> dict[str, str]:
    """A project around the sources, with one inference of the reference."""
    from edgecompress.build.layouts import layout_files
    from edgecompress.pipeline.golden import golden_vectors

    return layout_files(sources, golden_vectors(model, tolerance=0, count=1), layout)


def build(
    target: str,
    model: Path,
    *,
    engine: Engine = Engine.AOT,
    toolchain: str | None = None,
    output: Path | None = None,
    name: str | None = None,
    keep_input: bool = False,
    tflm_dir: Path | None = None,
    offline_plan: bool = True,
    optimize: Optimize = Optimize.SPEED,
    stream: Streaming = Streaming.NONE,
) -> Firmware:
    """Compile and link the model as firmware for a target.

    Args:
        target: a target's name, or the path of its TOML file.
        toolchain: "zig" or "gcc"; zig when None, and gcc for the tflm engine, which takes no other.
        tflm_dir: TensorFlow Lite Micro for the tflm engine, a tree in which its Makefile has run; the folder in EDGECOMPRESS_TFLM_DIR
            when None.
        output: the folder for firmware.elf; build/TARGET/NAME when None.
        offline_plan, optimize: see `generate`.
        stream: first layers go by rows, for a smaller arena and the same bytes; with INPUT the serial application delivers rows out of its
            copy of the input, which is memory of the harness.

    Raises:
        ModelError, TargetError: the input is wrong.
        BudgetError: it does not fit the target.
        ToolError: the compiler failed or is missing.

    Example:
        >>> edgecompress.build("cortex-m4", Path("digits.tflite")).elf
        PosixPath('build/cortex-m4/digits/firmware.elf')
    """
    device = load_target(target)
    loaded = load_model(model, name=name)
    return build_loaded(
        device,
        loaded,
        engine=engine,
        toolchain=toolchain,
        output=output,
        name=name,
        keep_input=keep_input,
        tflm_dir=tflm_dir,
        offline_plan=offline_plan,
        optimize=optimize,
        stream=stream,
    )


def build_loaded(
    target: Target,
    model: LoadedModel,
    *,
    engine: Engine,
    toolchain: str | None = None,
    output: Path | None = None,
    name: str | None = None,
    keep_input: bool = False,
    tflm_dir: Path | None = None,
    offline_plan: bool = True,
    optimize: Optimize = Optimize.SPEED,
    stream: Streaming = Streaming.NONE,
) -> Firmware:
    """As `build`, for a model that was read already."""
    from edgecompress.build import GCC, ZIG, build_firmware, find_toolchain

    chosen = find_toolchain(toolchain) if toolchain is not None else GCC if engine is Engine.TFLM else ZIG
    if engine is Engine.TFLM:
        from edgecompress.pipeline.tflm import build_tflm

        refuse_keep_input(keep_input=keep_input)
        refuse_stream(stream)
        return build_tflm(target, model, folder=tflm_dir, toolchain=chosen, output=output, name=name, offline_plan=offline_plan)
    sources = generate_sources(model, engine, name=name, keep_input=keep_input, kernels=target.kernels, optimize=optimize, stream=stream)
    folder = output or Path("build") / target.name / sources.info.name
    return build_firmware(sources, target, toolchain=chosen, output=folder)


def run(
    target: str,
    model: Path | None,
    *,
    inputs: Sequence[bytes],
    engine: Engine | None = None,
    port: str | None = None,
    toolchain: str | None = None,
    machine: MachineOptions | None = None,
    tflm_dir: Path | None = None,
) -> list[bytes]:
    """One inference on a device: raw tensor bytes in, raw tensor bytes out.

    Args:
        target: a target's name or file, `local`, `adb:SERIAL`, `ssh:USER@HOST`, or `serial:` with `port`.
        model: a .tflite, or a firmware.elf; None for what a device on `port` runs.
        inputs: one entry per model input, row-major, little-endian.
        machine: threads and kernels on a target with an operating system.
        tflm_dir: see `build`.

    Raises:
        DeviceError: the device is absent, silent or faulted.

    Example:
        >>> len(edgecompress.run("cortex-m4", Path("digits.tflite"), inputs=[bytes(64)])[0])
        10
    """
    if is_machine(target):
        loaded = load_model(require_model(model, target))
        with open_machine(target, loaded, engine=engine, options=machine or MachineOptions()) as opened_machine:
            return opened_machine.device.run(inputs)
    with open_target(target, model, engine=engine, port=port, toolchain=toolchain, tflm_dir=tflm_dir) as opened:
        return opened.device.run(inputs)


def require_model(model: Path | None, target: str) -> Path:
    """The model, which this target cannot do without.

    Raises:
        ModelError: it is None.
    """
    if model is None:
        raise ModelError(f"{target} holds no model of its own", hint="give a .tflite or a firmware.elf after the target")
    return model


@dataclass(frozen=True)
class OpenedTarget:
    """A device with the firmware that it runs (None when it was already on the device) and its facts (None for `serial:`)."""

    device: Device
    target: Target | None
    firmware: Firmware | None


@dataclass(frozen=True)
class SerialPort:
    """Where a board is, and how fast it speaks; `target` is None for a board whose facts are unknown (`serial:`)."""

    url: str
    baud: int
    target: Target | None


def serial_port(target: Target | None, port: str | None) -> SerialPort | None:
    """The port that leads to a board: the named one, else the one with the board's USB id. None where there is no wire.

    Raises:
        DeviceError: none was named, and none or several could be it.
    """
    from edgecompress.device.ports import find_port

    link = None if target is None else target.link
    if port is not None:
        return SerialPort(port, link.baud if isinstance(link, SerialLink) else DEFAULT_BAUD, target)
    if target is None:
        raise DeviceError(f"{SERIAL} is reached over a serial port, and none was named", hint="add --port, for example --port /dev/ttyACM0")
    return SerialPort(find_port(target).url, link.baud, target) if isinstance(link, SerialLink) else None


@contextmanager
def open_target(
    target: str,
    model: Path | None,
    *,
    engine: Engine | None,
    port: str | None,
    toolchain: str | None = None,
    tflm_dir: Path | None = None,
    recording: Recording | None = None,
    optimize: Optimize = Optimize.SPEED,
    stream: Streaming = Streaming.NONE,
) -> Iterator[OpenedTarget]:
    """A device ready to run `model`; a .tflite is built first, in a temporary folder."""
    facts = None if target == SERIAL else load_target(target)
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
        firmware = None
        if model is not None:
            firmware = _firmware(
                facts,
                model,
                engine=engine,
                toolchain=toolchain,
                tflm_dir=tflm_dir,
                folder=Path(folder),
                optimize=optimize,
                stream=stream,
            )
        device = _connect(facts, firmware, port, recording)
        try:
            yield OpenedTarget(device, facts, firmware)
        finally:
            device.close()


@contextmanager
def open_model(
    target: str, model: LoadedModel, *, engine: Engine = Engine.AOT, toolchain: str | None = None, tflm_dir: Path | None = None
) -> Iterator[Device]:
    """A device that runs a model which is in memory, built in a temporary folder."""
    facts = load_target(target)
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
        firmware = build_loaded(facts, model, engine=engine, toolchain=toolchain, output=Path(folder), tflm_dir=tflm_dir)
        device = _connect(facts, firmware, None)
        try:
            yield device
        finally:
            device.close()


def _firmware(
    target: Target | None,
    path: Path,
    *,
    engine: Engine | None,
    toolchain: str | None,
    tflm_dir: Path | None,
    folder: Path,
    optimize: Optimize,
    stream: Streaming,
) -> Firmware | None:
    """The firmware in `path`, or one built from the model in it; None for a model whose core is unknown (`serial:`)."""
    if not is_firmware(path):
        if target is None:
            return None
        kind = engine or Engine.AOT
        return build_loaded(
            target,
            load_model(path),
            engine=kind,
            toolchain=toolchain,
            output=folder,
            tflm_dir=tflm_dir,
            optimize=optimize,
            stream=stream,
        )
    if stream is not Streaming.NONE:
        raise UserError(f"{path} was built already, by rows or not", hint="leave --stream out, or give the .tflite")
    if optimize is not Optimize.SPEED:
        raise UserError(f"{path} was built already, for speed or for size", hint="leave --optimize out, or give the .tflite")
    from edgecompress.build import read_firmware

    firmware = read_firmware(path)
    if target is not None and firmware.target != target.name:
        hint = f"build it again: edgecompress build {target.name} MODEL.tflite"
        raise ModelError(f"{path} was built for {firmware.target}, not for {target.name}", hint=hint)
    if engine is not None and firmware.info.engine is not engine:
        raise ModelError(f"{path} holds engine {firmware.info.engine.value}, not {engine.value}", hint="leave --engine out")
    return firmware


def _connect(target: Target | None, firmware: Firmware | None, port: str | None, recording: Recording | None = None) -> Device:
    """The way to the device that its facts name."""
    from edgecompress.device import open_emulator, open_qemu, open_serial

    found = serial_port(target, port)
    if found is not None:
        return open_serial(found.url, baud=found.baud, recording=recording)
    if target is None or firmware is None:
        name = SERIAL if target is None else target.name
        raise ModelError(f"{name} holds no model of its own", hint="give a .tflite or a firmware.elf after the target")
    return open_emulator(firmware, target) if isinstance(target.link, EmulatorLink) else open_qemu(firmware, target)
