"""Skeletons below firmware/layouts as finished text: Jinja2, strict, so that a misspelt name is an error and not an empty place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from edgecompress.resources import resource_dir

if TYPE_CHECKING:
    from jinja2 import Environment


def render(skeleton: str, values: Mapping[str, Any]) -> str:
    """The text of one skeleton, with Unix line ends.

    Args:
        skeleton: its path below firmware/layouts, for example "plain/Makefile.in".
        values: what the skeleton names; one that is missing is a bug of ours and raises.
    """
    return _environment().get_template(skeleton).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(resource_dir("firmware") / "layouts"),
        undefined=StrictUndefined,
        # C, CMake and Markdown are no HTML.
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        newline_sequence="\n",
    )
