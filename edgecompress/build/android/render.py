"""Skeletons below firmware/android as files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecompress.build.android.kotlin import kotlin_string
from edgecompress.build.skeletons import Skeletons

_SKELETONS = Skeletons("android", kotlin=kotlin_string)


def render(skeleton: str, values: Mapping[str, Any]) -> bytes:
    """One of them as UTF-8; see `Skeletons.render`."""
    return _SKELETONS.render(skeleton, values).encode("utf-8")
