"""The SQLite file behind a store: opened, checked, made, and each failure of it as one sentence.

A rollback journal rather than a write-ahead log: writes are rare and small, a store at rest is one file that can be copied or kept on a
network folder, and it can be read where its folder cannot be written. Whatever is killed in the middle leaves a journal that the next
process to open the store plays back.

Every read or write is one transaction. Waiting for another process is done here, between calls, so that Ctrl-C ends it at once.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecompress.errors import OutputError, StoreError

APPLICATION_ID = 0x45435046
"""`ECPF`, in the file's header (https://www.sqlite.org/pragma.html#pragma_application_id)."""

STORE_VERSION = 1
"""Of the tables, as `PRAGMA user_version`."""

BUSY_TIMEOUT_S = 30.0
_PAUSE_S = 0.02

_TABLES = (
    # sha256: of the document without its layout (collection.document_hash). Dates are UTC, as 2026-11-25T12:00:00+00:00.
    """CREATE TABLE profile (
        sha256 TEXT PRIMARY KEY NOT NULL,
        target TEXT NOT NULL,
        model TEXT NOT NULL,
        engine TEXT,
        measured_at TEXT,
        added_at TEXT NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE tag (
        sha256 TEXT NOT NULL REFERENCES profile ON DELETE CASCADE,
        tag TEXT NOT NULL,
        PRIMARY KEY (sha256, tag)
    ) WITHOUT ROWID""",
    "CREATE INDEX profile_by_target ON profile (target, model, engine, measured_at)",
)

_EXISTING, _MADE = "rw", "rwc"
"""How SQLite opens a file (https://www.sqlite.org/uri.html); one that is write-protected is opened for reading."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY = 0xFF
"""The primary code within an extended one (https://www.sqlite.org/rescode.html)."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One consistent view of the store at `path`, which exists.

    Raises:
        StoreError: it is no store, is damaged, or of a newer version.
        OutputError: it cannot be read, or another process holds it for longer than BUSY_TIMEOUT_S.
    """
    with _told(path), _connected(path, _EXISTING) as connection:
        _patiently(path, lambda: _begin(connection, "BEGIN"))
        _require_store(path, connection)
        yield connection


@contextmanager
def writing(path: Path, *, create: bool) -> Iterator[sqlite3.Connection]:
    """One transaction on the store at `path`: all of it is kept when the block ends well, and nothing otherwise.

    Args:
        create: make the file, and the folders that it is in, where they are missing.

    Raises:
        StoreError: it is no store, is damaged, or of a newer version.
        OutputError: it cannot be written, the disk is full, or another process holds it for longer than BUSY_TIMEOUT_S.
    """
    if create:
        _make_folder(path)
    with _told(path), _connected(path, _MADE if create else _EXISTING) as connection:
        _patiently(path, lambda: _begin(connection, "BEGIN IMMEDIATE"))
        if create and _is_blank(connection):
            _make_tables(connection)
        _require_store(path, connection)
        yield connection
        _patiently(path, lambda: _run(connection, "COMMIT"))


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written: {e.strerror}", hint="name a file elsewhere with --store") from e


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise StoreError(f"{path}: is {kind}; expected a store of profiles", hint="name a file with --store")
    if mode == _EXISTING and not path.exists():
        raise StoreError(f"{path}: there is no such store", hint="edgecompress profiles add makes one; --store names another file")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=0, isolation_level=None)
    # A damaged row must not stop the others: its text no longer has its hash, which is found where it is read.
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        # A page that is written before the end of a transaction would need every reader to be gone.
        connection.execute("PRAGMA cache_spill = OFF")
        yield connection
    finally:
        # Closing rolls back what was not committed.
        connection.close()


def _begin(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)
    try:
        # The first reading takes the lock; a journal that a killed process left is played back here.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _run(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)


def _patiently(path: Path, action: Callable[[], None]) -> None:
    """Do it again while another process holds the store."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return action()
        except sqlite3.Error as e:
            if _code(e) not in _BUSY:
                raise
        if time.monotonic() > deadline:
            raise OutputError(
                f"{path}: another process has held the store for {BUSY_TIMEOUT_S:.0f} s", hint="end that process, or try again later"
            )
        time.sleep(_PAUSE_S)


def _is_blank(connection: sqlite3.Connection) -> bool:
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return tables == 0 and _pragma(connection, "application_id") == 0 and _pragma(connection, "user_version") == 0


def _make_tables(connection: sqlite3.Connection) -> None:
    for table in _TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {STORE_VERSION}")


def _require_store(path: Path, connection: sqlite3.Connection) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        if _is_blank(connection):
            raise StoreError(f"{path}: is empty; expected a store of profiles", hint="edgecompress profiles add makes a store")
        raise StoreError(f"{path}: is a SQLite file of another program", hint="name another file with --store")
    version = _pragma(connection, "user_version")
    if version > STORE_VERSION:
        raise StoreError(f"{path}: is a store of version {version}; this program reads up to {STORE_VERSION}", hint="upgrade edgecompress")
    if version < 1:
        raise StoreError(f"{path}: says that it is a store of version {version}; the first one is 1", hint=_salvage(path))


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _code(error: sqlite3.Error) -> int | None:
    # Errors of the Python module itself have no code.
    code = getattr(error, "sqlite_errorcode", None)
    return code & _PRIMARY if isinstance(code, int) else None


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite says, as our errors."""
    try:
        yield
    except sqlite3.Error as e:
        raise _as_ours(path, e) from e


def _as_ours(path: Path, error: sqlite3.Error) -> StoreError | OutputError:
    match _code(error):
        case sqlite3.SQLITE_NOTADB:
            return StoreError(f"{path}: is no SQLite file; expected a store of profiles", hint="name another file with --store")
        case sqlite3.SQLITE_FULL:
            return OutputError(f"{path}: cannot be written: the disk is full; the store is as it was", hint="free some space and try again")
        case sqlite3.SQLITE_IOERR:
            return OutputError(
                f"{path}: cannot be read or written ({error}); the store is as it was",
                hint="see that the disk has room and is well, then try again",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return OutputError(f"{path}: cannot be written: the file or its folder is read-only", hint="name a file elsewhere with --store")
        case sqlite3.SQLITE_CANTOPEN:
            return OutputError(f"{path}: the system lets it be neither opened nor made", hint="name another file with --store")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return OutputError(f"{path}: another process holds the store", hint="try again later")
        case sqlite3.SQLITE_TOOBIG:
            return OutputError(f"{path}: a document is larger than SQLite takes", hint="name the profile that is meant")
    return StoreError(f"{path}: is damaged: {error}", hint=_salvage(path))


def _salvage(path: Path) -> str:
    return f"SQLite's own program saves what is left: sqlite3 {path.name} .recover | sqlite3 saved.sqlite"
