"""`edgecompress build ios`: a model as a Swift package for an iOS app."""

from __future__ import annotations

from pathlib import Path


def build_ios_command(model: Path, output: Path | None, name: str | None, labels: Path | None) -> None:
    """Write the package; say what was written and what to do with it.

    Args:
        output: the folder; build/ios/NAME when None.

    Raises:
        UserError: something of it cannot be done as asked.
    """
    from edgecompress.cli.console import stdout_console
    from edgecompress.cli.tables import print_pairs
    from edgecompress.pipeline.swift import build_ios

    folder = output or Path("build") / "ios" / (name or model.stem)
    files = build_ios(model, output=folder, name=name, labels=labels)
    pairs = [
        ("package", f"{folder} ({len(files)} files)"),
        ("next", str(folder / "README.md")),
        ("note", "nobody has compiled it here: that needs a Mac"),
    ]
    print_pairs(stdout_console(), pairs)
