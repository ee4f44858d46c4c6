"""`edgecompress demo`: the main job on real data."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="The whole job on real data, in minutes.")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default=Path("edgecompress-demo"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where all results go.",
)
def command(output: Path) -> None:
    """Train a digit recognizer, compress it, verify it, build firmware and measure it on emulated cores: about 3 minutes on 2 cores."""
    from edgecompress.cli.console import ProgressDisplay, stdout_console
    from edgecompress.pipeline import demo

    with ProgressDisplay() as progress:
        result = demo(output, progress=progress)
    stdout_console().print(str(result))
