"""Arguments and options that several commands share, said once so that they read alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from edgecompress.errors import OutputError, TargetError, UserError


def _read_target(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value.startswith("serial:") and value != "serial:":
        port = value.removeprefix("serial:")
        raise TargetError(f"a serial target names no port itself; {value!r} does", hint=f"write serial: --port {port}")
    if value == "ssh:":
        raise TargetError("ssh: names no machine", hint="write ssh:USER@HOST, for example ssh:pi@raspberrypi")
    return value


def _read_device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value in ("android", "ios"):
        raise TargetError(f"{value} is what build makes, and no device", hint="a phone is adb:SERIAL; adb devices lists them")
    return _read_target(context, parameter, value)


def require_port(target: str, port: str | None) -> None:
    """A serial target needs a port.

    Raises:
        TargetError: none was named.
    """
    if target == "serial:" and port is None:
        raise TargetError("serial: is any board on a port, and no --port was named", hint="add --port, for example --port /dev/ttyACM0")


def require_other_file(output: str, model: Path | None) -> None:
    """A result does not take the place of the model that it is about.

    Raises:
        OutputError: `output` is the model's file.
    """
    if output != "-" and model is not None and os.path.realpath(output) == os.path.realpath(model):
        raise OutputError(f"{output} is the model itself, which the result would replace", hint="name another file")


def refuse_options(options: Mapping[str, str], why: str) -> None:
    """An option that would have no effect is an error.

    Args:
        options: parameters of the running command, with the option that each was given by.

    Raises:
        UserError: one of them was given on the command line.
    """
    context = click.get_current_context()
    for parameter, option in options.items():
        if context.get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE:
            raise UserError(f"{option} has no effect here: {why}", hint="leave it out")


def refuse_tflm_dir(tflm_dir: Path | None, engine: str | None) -> None:
    """A folder of TensorFlow Lite Micro goes with the engine that links it.

    Raises:
        UserError: it was named for another engine.
    """
    if tflm_dir is not None and engine != "tflm":
        raise UserError("--tflm-dir has no effect here: the engine is not tflm", hint="add --engine tflm, or leave it out")


def refuse_no_offline_plan(offline_plan: bool, engine: str) -> None:
    """A plan is left to TensorFlow Lite Micro where that runs the model.

    Raises:
        UserError: it was to be left to another engine.
    """
    if not offline_plan and engine != "tflm":
        raise UserError("--no-offline-plan has no effect here: the engine is not tflm", hint="add --engine tflm, or leave it out")


def read_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The name, checked.

    Raises:
        UserError: C could not use it.
    """
    if value is None:
        return None
    if not (value.isascii() and value.isidentifier()):
        raise UserError(
            f"--name must be a C identifier; {value!r} is none", hint="use letters, digits and _, and do not begin with a digit"
        )
    return value


target_argument = click.argument("target", metavar="TARGET", callback=_read_target)
device_argument = click.argument("target", metavar="TARGET", callback=_read_device)
model_argument = click.argument("model", metavar="MODEL.tflite", type=click.Path(path_type=Path))
optional_model_argument = click.argument("model", metavar="[MODEL.tflite|FIRMWARE.elf]", required=False, type=click.Path(path_type=Path))

engine_option = click.option(
    "--engine",
    type=click.Choice(["aot", "tflm"]),
    default="aot",
    show_default=True,
    help="aot: the model as plain C calls on this project's kernels. tflm: as a C array for TensorFlow Lite Micro, which build links.",
)
any_engine_option = click.option(
    "--engine",
    type=click.Choice(["aot", "tflm", "litert", "tflite-runtime"]),
    help="What executes the model. [default: aot on a core or phone, litert on local and ssh:, whatever a firmware file or a board holds]",
)
toolchain_option = click.option(
    "--toolchain",
    type=click.Choice(["zig", "gcc"]),
    help="zig: the compiler that installs with this package. gcc: arm-none-eabi-gcc from PATH. [default: zig; gcc with --engine tflm]",
)
tflm_dir_option = click.option(
    "--tflm-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="With --engine tflm: TensorFlow Lite Micro, a tree in which its Makefile has run. [default: $EDGECOMPRESS_TFLM_DIR]",
)
offline_plan_option = click.option(
    "--no-offline-plan",
    "offline_plan",
    flag_value=False,
    default=True,
    help="With --engine tflm: leave all of the memory plan to TensorFlow Lite Micro. [default: ours, where its arena gets smaller]",
)
port_option = click.option(
    "--port", metavar="URL", help="Where a board is: /dev/ttyACM0, COM3, or any pyserial URL such as socket://localhost:4000."
)
name_option = click.option(
    "--name", metavar="NAME", callback=read_name, help="What the model is called in C, a C identifier. [default: from the file's name]"
)
kernels_option = click.option(
    "--kernels",
    type=click.Choice(["portable", "thumb1", "thumb2", "dsp", "mve", "wide"]),
    default="portable",
    show_default=True,
    help="Kernels of the aot engine: plain C, for Cortex-M3 (thumb2), for cores with the DSP extension (Cortex-M4, M7, M33) or MVE (M55), "
    "or for x86-64 and 64-bit Arm, chosen as the program runs (wide).",
)

optimize_option = click.option(
    "--optimize",
    type=click.Choice(["speed", "size"]),
    default="speed",
    show_default=True,
    help="What the aot engine is best in: the fastest kernels, or packed weights and the kernels whose plan takes the least arena.",
)

stream_option = click.option(
    "--stream",
    type=click.Choice(["none", "rows", "input"]),
    default="none",
    show_default=True,
    help="With the aot engine: first layers go by rows, for a smaller arena and the same bytes, with the input in the arena (rows) or its "
    "rows delivered by your <name>_input_rows (input).",
)
keep_input_option = click.option(
    "--keep-input", is_flag=True, help="Never let an inference overwrite its input buffer (costs arena when the plan would reuse it)."
)
