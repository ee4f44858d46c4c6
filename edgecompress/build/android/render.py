"""Skeletons below firmware/android as finished text: Jinja2, strict, so that a misspelt name is an error and not an empty place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from edgecompress.resources import resource_dir

if TYPE_CHECKING:
    from jinja2 import Environment


def render(skeleton: str, values: Mapping[str, Any]) -> bytes:
    """The text of one skeleton, as UTF-8 with Unix line ends.

    Args:
        skeleton: its path below firmware/android, for example "common/Quantization.kt.in".
        values: what the skeleton names; one that is missing is a bug of ours and raises.
    """
    return _environment().get_template(skeleton).render(values).encode("utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from edgecompress.build.android.kotlin import kotlin_string

    environment = Environment(
        loader=FileSystemLoader(resource_dir("firmware") / "android"),
        undefined=StrictUndefined,
        # Kotlin, Gradle and Markdown are no HTML.
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        newline_sequence="\n",
    )
    environment.filters["kotlin"] = kotlin_string
    return environment
