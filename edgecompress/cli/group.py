"""The list of commands. Each one's module is imported when its name or its help is needed, and imports its heavy parts when it runs."""

from __future__ import annotations

import difflib
import importlib

import click

from edgecompress import __version__

COMMANDS = (
    "demo",
    "compress",
    "sensitivity",
    "inspect",
    "verify",
    "generate",
    "build",
    "flash",
    "run",
    "measure",
    "compare",
    "profiles",
    "gate",
    "targets",
    "doctor",
)
"""In the order of the work; `edgecompress.cli.<name>.command` is each one."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and finds them by import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edgecompress.cli.{cmd_name}")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"edgecompress.cli.{cmd_name}.command is no click command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"there is no command {args[0]!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a bug of ours, 2 what was asked cannot be done, 3 does not fit or a limit is broken, 4 device or link, "
    "5 bytes differ, 130 interrupted.",
)
@click.version_option(__version__, "--version", prog_name="edgecompress", message="%(prog)s %(version)s")
def command() -> None:
    """From a Keras model to int8 firmware that fits the board, with a measured profile that proves it.

    \b
    model.keras --compress--> model.tflite --build--> firmware.elf --measure--> profile.json --compare--> table
    """
