"""Skeletons below firmware/ as finished text: Jinja2, strict, so that a misspelt name is an error and not an empty place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgecompress.resources import resource_dir

if TYPE_CHECKING:
    from jinja2 import Environment


class Skeletons:
    """Those of one folder. `filters` are functions on text that the skeletons call by name, such as one that quotes strings."""

    def __init__(self, folder: str, **filters: Callable[[str], str]) -> None:
        self._folder = folder
        self._filters = filters

    def render(self, skeleton: str, values: Mapping[str, Any]) -> str:
        """The text of one skeleton, with Unix line ends.

        Args:
            skeleton: its path below the folder, for example "plain/Makefile.in".
            values: what the skeleton names; one that is missing is a bug of ours and raises.
        """
        return self._environment.get_template(skeleton).render(values)

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        environment = Environment(
            loader=FileSystemLoader(resource_dir("firmware") / self._folder),
            undefined=StrictUndefined,
            # Source code and Markdown are no HTML.
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            newline_sequence="\n",
        )
        environment.filters.update(self._filters)
        return environment
