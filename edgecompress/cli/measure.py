"""`edgecompress measure`: a profile of a model on a device."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.cli.options import (
    any_engine_option,
    optional_model_argument,
    port_option,
    require_other_file,
    require_port,
    target_argument,
    toolchain_option,
)
from edgecompress.errors import MismatchError

if TYPE_CHECKING:
    from edgecompress.profile import Profile


@click.command(short_help="Latency, memory, parity on a target.")
@target_argument
@optional_model_argument
@any_engine_option
@click.option("-o", "--output", metavar="PROFILE.json", help="Where the profile goes; - is stdout. [default: only the summary is printed]")
@click.option(
    "--runs", type=click.IntRange(min=1), help="Timed inferences. [default: 3 where instructions are counted, 100 where a clock is read]"
)
@click.option("--warmup", type=click.IntRange(min=0), help="Inferences before the timed ones. [default: 1 and 10]")
@click.option(
    "--parity-inputs",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Generated inputs to compare with the reference kernels.",
)
@port_option
@toolchain_option
def command(
    target: str,
    model: Path | None,
    engine: str | None,
    output: str | None,
    runs: int | None,
    warmup: int | None,
    parity_inputs: int,
    port: str | None,
    toolchain: str,
) -> None:
    """Measure latency, memory and parity on TARGET, and write a profile.

    Without a file, what the device on --port runs is measured. An emulator counts instructions; only a clock that was read gives
    microseconds. Exit code 5 when a core's bytes differ from the reference kernels' (the profile is written all the same).
    """
    from edgecompress.artifact import Engine
    from edgecompress.pipeline import measure
    from edgecompress.profile import profile_text, write_profile

    require_port(target, port)
    if output is not None:
        require_other_file(output, model)
    profile = measure(
        target,
        model,
        engine=None if engine is None else Engine(engine),
        port=port,
        runs=runs,
        warmup=warmup,
        toolchain=toolchain,
        parity_inputs=parity_inputs,
        commands=(_command_line(),),
    )
    if output == "-":
        click.echo(profile_text(profile), nl=False)
    else:
        if output is not None:
            write_profile(profile, Path(output))
        _show(profile)
    _require_parity(profile)


def _command_line() -> str:
    """This process's command as it can be typed again, without the path of the program."""
    return shlex.join(["edgecompress", *sys.argv[1:]])


def _show(profile: Profile) -> None:
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.text import printable
    from edgecompress.report.compare import compare, show

    show(compare([(printable(profile.model.name), profile)]), stdout_console())


def _require_parity(profile: Profile) -> None:
    """LiteRT on the host rounds by other rules, and its differences are only reported; a core has none to offer."""
    parity = profile.parity
    if parity is None or profile.engine == "litert" or parity.mismatched_bytes == 0:
        return
    raise MismatchError(
        f"{profile.model.name} on {profile.target}: {parity.mismatched_bytes} output bytes differ from {parity.reference}"
        f" over {parity.inputs} inputs",
        hint="edgecompress verify says at which op it starts",
    )
