"""What the commands that use a store share: its option, and profiles by file or by query."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.errors import ModelError

if TYPE_CHECKING:
    from edgecompress.store import ProfileStore

LARGEST_PROFILE_BYTES = 64 << 20
"""A profile of a thousand ops has half a megabyte."""

store_option = click.option(
    "--store",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The SQLite file that keeps profiles. [default: $EDGECOMPRESS_STORE, or one in your folder for data]",
)


def open_store(store: Path | None) -> ProfileStore:
    """The store that was named, or the user's own."""
    from edgecompress.store import profiles

    return profiles(store)


def one_line(text: str) -> str:
    """`text` for a cell of a table: whatever would break the line or drive the terminal is escaped."""
    from edgecompress.cli.text import printable

    return printable(text.replace("\n", "\\n"))


def read_document(name: str) -> str:
    """The text of a profile's file; `-` is standard input.

    Raises:
        ModelError: it cannot be read, is no text, or is larger than any profile.
    """
    hint = "profiles are written by edgecompress measure"
    try:
        if name == "-":
            data = sys.stdin.buffer.read(LARGEST_PROFILE_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(LARGEST_PROFILE_BYTES + 1)
    except OSError as e:
        raise ModelError(f"{name}: cannot be read: {e.strerror}", hint=hint) from e
    if len(data) > LARGEST_PROFILE_BYTES:
        raise ModelError(f"{name}: is larger than {LARGEST_PROFILE_BYTES >> 20} MiB, and so no profile", hint=hint)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise ModelError(f"{name}: is not JSON: it is not UTF-8", hint=hint) from e
