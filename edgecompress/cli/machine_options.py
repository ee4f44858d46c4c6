"""Options of targets with an operating system: this computer, phones, boards behind ssh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgecompress.cli.options import refuse_options
from edgecompress.errors import UserError

if TYPE_CHECKING:
    from edgecompress.pipeline.machines import MachineOptions

_Function = TypeVar("_Function", bound=Callable[..., object])

_OPTIONS = (
    click.option("--threads", type=click.IntRange(min=1, max=256), default=1, show_default=True, help="Threads of LiteRT."),
    click.option(
        "--kernels",
        type=click.Choice(["xnnpack", "builtin", "reference", "gpu"]),
        help="Which kernels of LiteRT run. gpu: phones only. [default: xnnpack]",
    ),
    click.option(
        "--core",
        metavar="CORE",
        default="fast",
        show_default=True,
        help="Where a measurement is held to: fast, slow, any, or a core's number.",
    ),
    click.option(
        "--benchmark-model",
        metavar="PROGRAM",
        type=click.Path(path_type=Path),
        help="LiteRT's benchmark_model for that machine. [default: $EDGECOMPRESS_BENCHMARK_MODEL]",
    ),
    click.option(
        "--min-seconds",
        type=click.FloatRange(min=0, max=3600),
        help="Time runs for at least so long, and warm up for half of it. [default: 1, or 0 with --runs]",
    ),
    click.option("--python", metavar="PATH", help="That machine's Python with the runtime. [default: this one, or python3 there]"),
)
_DEFAULTS = {"threads": 1, "core": "fast"}


def machine_options(function: _Function) -> _Function:
    """Add the options; the function takes `threads kernels core benchmark_model min_seconds python`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def refuse_board_options(target: str, port: str | None) -> None:
    """A port, and a choice of compiler, are of boards that have no operating system.

    Raises:
        UserError: one was given for a machine.
    """
    from edgecompress.pipeline.machines import is_machine

    if not is_machine(target):
        return
    if port is not None:
        raise UserError(f"--port has no effect on {target}, which is no board on a port", hint="leave it out")
    refuse_options({"toolchain": "--toolchain"}, f"programs for {target} are always compiled by zig")


def read_machine(target: str, **given: Any) -> MachineOptions | None:  # noqa: ANN401 (click's parameters, named as MachineOptions' fields)
    """The options as one value; None for a target that has no operating system.

    Raises:
        UserError: an option was given that has no effect on such a target.
    """
    from edgecompress.pipeline.machines import MachineOptions, is_machine

    if is_machine(target):
        return MachineOptions(**given)
    for name, value in given.items():
        if value != _DEFAULTS.get(name):
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is for computers, phones and boards with an operating system; {target} is none", hint="leave it out")
    return None
