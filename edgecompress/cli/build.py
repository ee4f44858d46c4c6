"""`edgecompress build`: a model as linked firmware for one target, or as a module for an app."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import (
    engine_option,
    keep_input_option,
    model_argument,
    name_option,
    offline_plan_option,
    optimize_option,
    refuse_no_offline_plan,
    refuse_options,
    refuse_tflm_dir,
    stream_option,
    target_argument,
    tflm_dir_option,
    toolchain_option,
)
from edgecompress.errors import OutputError, TargetError

if TYPE_CHECKING:
    from edgecompress.artifact import Firmware

APPS = ("android", "ios")
ESTIMATED = ", an estimate: no core of this kind is emulated here"
_OF_FIRMWARE = {
    "engine": "--engine",
    "toolchain": "--toolchain",
    "tflm_dir": "--tflm-dir",
    "keep_input": "--keep-input",
    "offline_plan": "--no-offline-plan",
    "optimize": "--optimize",
    "stream": "--stream",
}
_OF_ANDROID = {"package": "--package", "layout": "--layout", "litert": "--litert"}
_OF_APPS = {**_OF_ANDROID, "labels": "--labels"}


@click.command(short_help="Firmware for a target, or a module for an app.")
@target_argument
@model_argument
@engine_option
@toolchain_option
@tflm_dir_option
@click.option("-o", "--output", metavar="DIR", type=click.Path(path_type=Path), help="Where it goes. [default: build/TARGET/NAME]")
@name_option
@keep_input_option
@offline_plan_option
@optimize_option
@stream_option
@click.option("--package", metavar="PACKAGE", help="android: the Kotlin package of the module, such as com.acme.digits.")
@click.option(
    "--layout",
    type=click.Choice(["litert", "aot"]),
    default="litert",
    show_default=True,
    help="android: litert runs the .tflite through LiteRT; aot is the generated C behind JNI, with no runtime to depend on.",
)
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="android, ios: the classes' names, one a line, or a JSON array of strings.",
)
@click.option("--litert", metavar="VERSION", help="android: the release of LiteRT that the module depends on.")
def command(
    target: str,
    model: Path,
    engine: str,
    toolchain: str | None,
    tflm_dir: Path | None,
    output: Path | None,
    name: str | None,
    keep_input: bool,
    offline_plan: bool,
    optimize: str,
    stream: str,
    package: str | None,
    layout: str,
    labels: Path | None,
    litert: str | None,
) -> None:
    """Compile and link a model for TARGET; say what it takes of flash and RAM, read from the linked file.

    TARGET is a name that `edgecompress targets` lists, or the path of a target's .toml file. `android` writes a Gradle library module,
    `ios` a Swift package. Exit code 3 when the model does not fit.
    """
    if target in APPS:
        refuse_options(_OF_FIRMWARE, f"{target} is no core to build firmware for")
        if target == "ios":
            refuse_options(_OF_ANDROID, "it is for Android modules")
        _build_app(target, model, package, output, name, labels, layout, litert)
        return
    refuse_options(_OF_APPS, f"{target} is no app")
    if target == "local" or target.startswith(("serial:", "adb:", "ssh:")):
        raise TargetError(
            f"{target} is no core to build for",
            hint="name one that edgecompress targets lists, such as cortex-m4; measure builds for computers and phones by itself",
        )
    if str(output) == "-":
        raise OutputError("-o - is no folder: firmware is several files", hint="name a folder with -o")
    refuse_tflm_dir(tflm_dir, engine)
    refuse_no_offline_plan(offline_plan, engine)
    if engine != "aot":
        refuse_options({"optimize": "--optimize"}, "the engine is not aot")
    _build_firmware(target, model, engine, toolchain, tflm_dir, output, name, keep_input, offline_plan, optimize, stream)


def _build_app(
    target: str,
    model: Path,
    package: str | None,
    output: Path | None,
    name: str | None,
    labels: Path | None,
    layout: str,
    litert: str | None,
) -> None:
    if target == "ios":
        from edgecompress.cli.ios import build_ios_command

        build_ios_command(model, output, name, labels)
        return
    from edgecompress.cli.android import build_android_command

    build_android_command(model, package, output, name, labels, layout, litert)


def _build_firmware(
    target: str,
    model: Path,
    engine: str,
    toolchain: str | None,
    tflm_dir: Path | None,
    output: Path | None,
    name: str | None,
    keep_input: bool,
    offline_plan: bool,
    optimize: str,
    stream: str,
) -> None:
    from edgecompress.artifact import Engine, Streaming
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.tables import print_pairs
    from edgecompress.pipeline import build
    from edgecompress.target import Optimize

    firmware = build(
        target,
        model,
        engine=Engine(engine),
        toolchain=toolchain,
        output=output,
        name=name,
        keep_input=keep_input,
        tflm_dir=tflm_dir,
        offline_plan=offline_plan,
        optimize=Optimize(optimize),
        stream=Streaming(stream),
    )
    print_pairs(stdout_console(), _facts(firmware))


def _facts(firmware: Firmware) -> list[tuple[str, str]]:
    from edgecompress.units import format_bytes

    sizes = firmware.sizes
    split = f"code {format_bytes(sizes.code_bytes)}, model {format_bytes(sizes.model_bytes)}, harness {format_bytes(sizes.harness_bytes)}"
    uf2 = firmware.elf.with_name("firmware.uf2")
    return [
        ("firmware", str(firmware.elf)),
        *([("to copy", str(uf2))] if uf2.is_file() else []),
        ("target", firmware.target),
        ("engine", firmware.info.engine.value),
        ("toolchain", firmware.toolchain),
        ("flash", f"{format_bytes(sizes.flash_bytes)} ({split})"),
        ("arena", format_bytes(sizes.arena_bytes) + (ESTIMATED if firmware.info.arena_is_estimate else "")),
        *([] if firmware.info.stream is None else [("by rows", firmware.info.stream.words)]),
        ("static RAM", format_bytes(sizes.static_ram_bytes)),
        ("stack bound", format_bytes(firmware.stack_bound_bytes) or f"unknown: {firmware.stack_problem}"),
    ]
