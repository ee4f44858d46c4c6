"""Profiles kept in one SQLite file, found again by model, target, engine, date and tag."""

from edgecompress.store.collection import Added, ProfileStore, StoredProfile, profiles
from edgecompress.store.place import default_store
from edgecompress.store.query import Query, parse_query

__all__ = ["Added", "ProfileStore", "Query", "StoredProfile", "default_store", "parse_query", "profiles"]
