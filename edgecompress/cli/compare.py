"""`edgecompress compare`: profiles side by side."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Profiles side by side, with ratios.")
@click.argument("profiles", metavar="PROFILE.json...", nargs=-1, type=click.Path(path_type=Path))
def command(profiles: tuple[Path, ...]) -> None:
    """Print profiles side by side, with ratios against the first.

    Numbers of different units (instructions, microseconds) get no ratio; what a profile does not know is an empty cell.
    """
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.text import printable
    from edgecompress.profile import read_profile
    from edgecompress.report.compare import compare, show

    named = [(printable(name), read_profile(path)) for name, path in zip(_column_names(profiles), profiles, strict=True)]
    show(compare(named), stdout_console())


def _column_names(paths: tuple[Path, ...]) -> list[str]:
    """File names without .json; whole paths where two of them are called alike."""
    stems = [path.stem for path in paths]
    return [str(path) if stems.count(stem) > 1 else stem for path, stem in zip(paths, stems, strict=True)]
