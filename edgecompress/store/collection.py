"""Profiles in a store. Each is kept as the text that came, and known by the hash of what it says.

Two files that differ in spaces, line ends, the order of keys or spelled-out nulls say the same and are one profile. The columns beside the
text (target, model, engine, date, tags) are there to be searched; the text alone is believed.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgecompress.errors import StoreError, UserError
from edgecompress.profile import Profile, parse_profile
from edgecompress.store.database import reading, writing
from edgecompress.store.place import default_store
from edgecompress.store.query import Query, id_pattern, parse_query, utc_text

ID_DIGITS = 12
"""Of a hash, as shown: with a million profiles, two of them share these once in 500 stores, and then more digits are asked for."""


@dataclass(frozen=True)
class StoredProfile:
    """A profile as a list shows it. Dates are UTC, `2026-11-25T12:00:00+00:00`; `measured_at` is None where the profile does not say.

    `tags` are the profile's own and those that it was added with, sorted.
    """

    sha256: str
    target: str
    model: str
    engine: str | None
    measured_at: str | None
    added_at: str
    tags: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.sha256[:ID_DIGITS]


@dataclass(frozen=True)
class Added:
    """What became of one document: `known` when the store held it already."""

    sha256: str
    known: bool

    @property
    def id(self) -> str:
        return self.sha256[:ID_DIGITS]


@dataclass(frozen=True)
class ProfileStore:
    """The store in the file at `path`, which the first `add` makes. Safe with any number of processes at once.

    Every method raises StoreError when the file is no store, is damaged or of a newer version, and OutputError when it cannot be read or
    written.
    """

    path: Path

    def add(self, documents: Sequence[tuple[str, str]], *, tags: Sequence[str] = ()) -> tuple[Added, ...]:
        """Keep documents, all of them or none. What is known already is not doubled; its tags are added, and its text put right if damaged.

        Args:
            documents: (where it came from, for messages; the profile as JSON).
            tags: words to find them by, beside their own.

        Raises:
            ModelError: a document is no profile.
        """
        rows = [_row_of(source, text) for source, text in documents]
        now = utc_text(datetime.now(UTC))
        with writing(self.path, create=True) as connection:
            return tuple(_insert(connection, row, (*row.tags, *tags), now) for row in rows)

    def find(self, query: Query | str = "") -> tuple[StoredProfile, ...]:
        """The profiles that a query means, sorted by target, model, engine and date.

        Raises:
            UserError: the query says something that none understands.
        """
        wanted = parse_query(query) if isinstance(query, str) else query
        with reading(self.path) as connection:
            return _find(connection, wanted)

    def text(self, identity: str) -> str:
        """The profile as it was added.

        Args:
            identity: as `find` shows it, or the first 4 digits at least where no other profile begins with them.

        Raises:
            UserError: no profile, or several, begin with that.
            StoreError: its row is damaged.
        """
        with reading(self.path) as connection:
            return _read(connection, self.path, _one(connection, self.path, identity))

    def profile(self, identity: str) -> Profile:
        """The profile itself, with the tags that it was added with.

        Raises:
            UserError: no profile, or several, begin with that.
            ModelError: it is of a newer schema.
            StoreError: its row is damaged.
        """
        with reading(self.path) as connection:
            sha256 = _one(connection, self.path, identity)
            profile = parse_profile(_read(connection, self.path, sha256), f"{self.path}: {sha256[:ID_DIGITS]}")
            tags = _tags(connection, sha256)
        return profile.model_copy(update={"tags": tags}) if tags else profile

    def remove(self, identities: Iterable[str]) -> int:
        """Forget profiles by their exact ids, all of them or none, and tell how many.

        Raises:
            UserError: one of the ids is not exact, or there is no such profile.
        """
        with writing(self.path, create=False) as connection:
            wanted = {_exactly(connection, self.path, identity) for identity in identities}
            connection.executemany("DELETE FROM profile WHERE sha256 = ?", [(sha256,) for sha256 in wanted])
            return len(wanted)

    def remove_found(self, query: Query | str) -> int:
        """Forget what a query means, and tell how many that were.

        Raises:
            UserError: the query says something that none understands.
        """
        wanted = parse_query(query) if isinstance(query, str) else query
        with writing(self.path, create=False) as connection:
            return connection.execute(f"DELETE FROM profile WHERE {wanted.where}", wanted.values).rowcount


def profiles(store: Path | None = None) -> ProfileStore:
    """The store of profiles at a path, or the user's own; the file is made by the first `add`.

    Args:
        store: a SQLite file; None is $EDGECOMPRESS_STORE, or the one in the user's folder for data.

    Raises:
        OutputError: none is named and the user has no home folder.

    Example:
        >>> profile = edgecompress.measure("cortex-m4", Path("digits.tflite"))
        >>> edgecompress.write_profile(profile, Path("m4.json"))
        >>> store = edgecompress.profiles(Path("team.sqlite"))
        >>> added = store.add([("m4.json", Path("m4.json").read_text())], tags=["nightly"])
        >>> [found.model for found in store.find("target=cortex-m4,tag=nightly")]
        ['digits']
    """
    return ProfileStore(default_store() if store is None else store)


def document_hash(text: str) -> str:
    """SHA-256 of what a JSON object says: keys in order, no spaces, nulls left out, since a missing fact and a null one are the same.

    Raises:
        ValueError: it is no JSON.
    """
    plain = json.dumps(_without_nulls(json.loads(text)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class _Row:
    sha256: str
    target: str
    model: str
    engine: str | None
    measured_at: str | None
    document: str
    tags: tuple[str, ...]


def _row_of(source: str, text: str) -> _Row:
    profile = parse_profile(text, source)
    return _Row(
        sha256=document_hash(text),
        target=_text(profile.target),
        model=_text(profile.model.name),
        engine=profile.engine and _text(profile.engine),
        measured_at=_date(profile.measured_at),
        document=text,
        tags=tuple(map(_text, profile.tags or ())),
    )


def _text(text: str) -> str:
    """What JSON lets be half of a character, SQLite does not take: its escape, to be searched."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _date(text: str | None) -> str | None:
    """The date in UTC; a text that is no date is unknown."""
    try:
        return None if text is None else utc_text(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _insert(connection: sqlite3.Connection, row: _Row, tags: Sequence[str], now: str) -> Added:
    known = connection.execute("SELECT document FROM profile WHERE sha256 = ?", (row.sha256,)).fetchone()
    if known is None:
        values = (row.sha256, row.target, row.model, row.engine, row.measured_at, now, row.document)
        connection.execute("INSERT INTO profile VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    elif not _is_intact(known[0], row.sha256):
        connection.execute(
            "UPDATE profile SET target = ?, model = ?, engine = ?, measured_at = ?, document = ? WHERE sha256 = ?",
            (row.target, row.model, row.engine, row.measured_at, row.document, row.sha256),
        )
    connection.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", [(row.sha256, tag) for tag in tags])
    return Added(row.sha256, known is not None)


def _is_intact(document: object, sha256: str) -> bool:
    try:
        return isinstance(document, str) and document_hash(document) == sha256
    except (ValueError, RecursionError):
        return False


def _find(connection: sqlite3.Connection, query: Query) -> tuple[StoredProfile, ...]:
    rows = connection.execute(
        "SELECT sha256, target, model, engine, measured_at, added_at FROM profile"
        f" WHERE {query.where} ORDER BY target, model, engine, measured_at, added_at, sha256",
        query.values,
    ).fetchall()
    return tuple(_listed(connection, row) for row in rows)


def _listed(connection: sqlite3.Connection, row: Sequence[object]) -> StoredProfile:
    # SQLite keeps any type in any column; these are texts unless somebody else wrote them.
    sha256, target, model, engine, measured_at, added_at = (None if value is None else str(value) for value in row)
    return StoredProfile(str(sha256), str(target), str(model), engine, measured_at, str(added_at), _tags(connection, str(sha256)))


def _tags(connection: sqlite3.Connection, sha256: str) -> tuple[str, ...]:
    return tuple(tag for (tag,) in connection.execute("SELECT tag FROM tag WHERE sha256 = ? ORDER BY tag", (sha256,)))


def _read(connection: sqlite3.Connection, path: Path, sha256: str) -> str:
    document = connection.execute("SELECT document FROM profile WHERE sha256 = ?", (sha256,)).fetchone()[0]
    if isinstance(document, str) and _is_intact(document, sha256):
        return document
    raise StoreError(
        f"{path}: profile {sha256[:ID_DIGITS]} is damaged: its text is not what was added",
        hint=f"add its file again, which puts it right, or forget it with: edgecompress profiles rm {sha256[:ID_DIGITS]}",
    )


def _exactly(connection: sqlite3.Connection, path: Path, identity: str) -> str:
    if len(identity) < ID_DIGITS:
        raise UserError(
            f"{identity!r} is no whole id of {ID_DIGITS} digits", hint="rm takes ids as edgecompress profiles list shows them, or --query"
        )
    return _one(connection, path, identity)


def _one(connection: sqlite3.Connection, path: Path, identity: str) -> str:
    pattern = id_pattern(identity)
    found = [sha256 for (sha256,) in connection.execute("SELECT sha256 FROM profile WHERE sha256 GLOB ? LIMIT 2", (pattern,))]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise UserError(f"{path}: several profiles have ids that begin with {identity}", hint="give more digits of the id")
    raise UserError(f"{path}: holds no profile {identity}", hint="edgecompress profiles list shows ids")
