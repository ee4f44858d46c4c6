"""`edgecompress doctor`: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import click


@click.command(short_help="What is installed, what is missing.")
def command() -> None:
    """Say what is installed and what is missing, with the command that installs it. Exit code 0 either way."""
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.tables import Column, print_pairs, print_table
    from edgecompress.doctor import doctor

    findings = doctor()
    console = stdout_console()
    columns = [Column("part"), Column("state"), Column("found"), Column("what for")]
    print_table(console, columns, [[f.part, f.state.value, f.found, f.purpose] for f in findings])
    remedies = [(f.part, f.remedy) for f in findings if f.remedy]
    if remedies:
        console.print("\nWhat to do:")
        print_pairs(console, remedies)
