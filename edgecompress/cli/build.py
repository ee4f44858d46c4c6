"""`edgecompress build`: a model as linked firmware for one target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import engine_option, keep_input_option, model_argument, name_option, target_argument, toolchain_option

if TYPE_CHECKING:
    from edgecompress.artifact import Firmware


@click.command(short_help="A model as linked firmware for a target.")
@target_argument
@model_argument
@engine_option
@toolchain_option
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(path_type=Path), help="The folder for firmware.elf. [default: build/TARGET/NAME]"
)
@name_option
@keep_input_option
def command(target: str, model: Path, engine: str, toolchain: str, output: Path | None, name: str | None, keep_input: bool) -> None:
    """Compile and link a model for TARGET; say what it takes of flash and RAM, read from the linked file.

    TARGET is a name that `edgecompress targets` lists, or the path of a target's .toml file. Exit code 3 when the model does not fit.
    """
    from edgecompress.artifact import Engine
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.tables import print_pairs
    from edgecompress.errors import TargetError
    from edgecompress.pipeline import build

    if target in ("local", "serial:"):
        raise TargetError(f"{target} is no core to build for", hint="name one that edgecompress targets lists, such as cortex-m4")
    firmware = build(target, model, engine=Engine(engine), toolchain=toolchain, output=output, name=name, keep_input=keep_input)
    print_pairs(stdout_console(), _facts(firmware))


def _facts(firmware: Firmware) -> list[tuple[str, str]]:
    from edgecompress.units import format_bytes

    sizes = firmware.sizes
    split = f"code {format_bytes(sizes.code_bytes)}, model {format_bytes(sizes.model_bytes)}, harness {format_bytes(sizes.harness_bytes)}"
    return [
        ("firmware", str(firmware.elf)),
        ("target", firmware.target),
        ("engine", firmware.info.engine.value),
        ("toolchain", firmware.toolchain),
        ("flash", f"{format_bytes(sizes.flash_bytes)} ({split})"),
        ("arena", format_bytes(sizes.arena_bytes)),
        ("static RAM", format_bytes(sizes.static_ram_bytes)),
    ]
