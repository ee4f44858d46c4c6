"""The `edgecompress` command: parse, call one public function, print. One file a command, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (that of this process by default) and return its exit code; `edgecompress.cli.exits` says which means what."""
    from edgecompress.cli.exits import run_command
    from edgecompress.cli.group import command

    return run_command(command, arguments)
