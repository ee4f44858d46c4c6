"""Where a store is when nobody names one: $EDGECOMPRESS_STORE, or the user's folder for data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgecompress.errors import OutputError

STORE_VARIABLE = "EDGECOMPRESS_STORE"
_NAME = "profiles.sqlite"


def default_store() -> Path:
    """The user's store: $EDGECOMPRESS_STORE, or profiles.sqlite in `edgecompress/` of the user's folder for data.

    That folder is $XDG_DATA_HOME (https://specifications.freedesktop.org/basedir-spec), or what the platform has in its place.

    Raises:
        OutputError: the user has no home folder.
    """
    named = os.environ.get(STORE_VARIABLE)
    return Path(named) if named else _data_folder() / "edgecompress" / _NAME


def _data_folder() -> Path:
    # The specification lets relative paths count as unset.
    named = os.environ.get("XDG_DATA_HOME", "")
    if Path(named).is_absolute():
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError as e:
        raise OutputError("the user has no home folder for a store", hint=f"name a file with --store or {STORE_VARIABLE}") from e
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    return home / ".local" / "share"
