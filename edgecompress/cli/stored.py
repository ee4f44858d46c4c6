"""What the commands that use a store share: its option, and profiles by file or by query."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompress.errors import EdgeCompressError, ModelError, UserError

if TYPE_CHECKING:
    from edgecompress.profile import Profile
    from edgecompress.store import ProfileStore

_STDIN = "-"
_WRITTEN_BY = "edgecompress measure ... -o - writes a profile"

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
    from edgecompress.profile import LARGEST_PROFILE_BYTES, read_profile_text

    if name != _STDIN:
        return read_profile_text(Path(name))
    data = sys.stdin.buffer.read(LARGEST_PROFILE_BYTES + 1)
    if len(data) > LARGEST_PROFILE_BYTES:
        raise ModelError(f"standard input is larger than {LARGEST_PROFILE_BYTES >> 20} MiB, and so no profile", hint=_WRITTEN_BY)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise ModelError("standard input is not JSON: it is not UTF-8", hint=_WRITTEN_BY) from e


@dataclass(frozen=True)
class Source:
    """One profile that was asked for, or why it cannot be had. `name` is its file, or its id in the store."""

    name: str
    profile: Profile | None
    error: EdgeCompressError | None = None

    def required(self) -> Profile:
        """The profile.

        Raises:
            EdgeCompressError: it cannot be had.
        """
        if self.profile is None:
            raise self.error or ModelError(f"{self.name}: is no profile")
        return self.profile


def read_sources(names: Sequence[str], store: Path | None) -> list[Source]:
    """Profiles by file, or by query of the store as `@target=cortex-m4`, in order; a damaged one does not stop the others.

    Raises:
        UserError: a query says something that none understands, or finds nothing.
        StoreError: the store cannot be used.
    """
    return [source for name in names for source in (_found(name, store) if is_query(name) else [_from_file(name)])]


def is_query(name: str) -> bool:
    """Whether a word stands for profiles of the store; a file whose name begins so is written ./@name."""
    return name.startswith("@")


def _from_file(name: str) -> Source:
    from edgecompress.profile import parse_profile

    try:
        return Source(name, parse_profile(read_document(name), name))
    except ModelError as e:
        return Source(name, None, e)


def _found(name: str, store: Path | None) -> list[Source]:
    opened = open_store(store)
    found = opened.find(name.removeprefix("@"))
    if not found:
        raise UserError(f"{opened.path}: {name} finds no profile", hint="edgecompress profiles list shows what there is")
    return [_from_store(opened, one.sha256) for one in found]


def _from_store(store: ProfileStore, sha256: str) -> Source:
    name = f"@id={sha256[:12]}"
    try:
        return Source(name, store.profile(sha256))
    except UserError as e:
        return Source(name, None, e)
