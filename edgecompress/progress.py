"""How long work says how far it is, without knowing who listens.

A function that takes long takes `progress: Progress = silent` and calls it with the stage's words, how much is done, and of how much (None
when that is not known). Only `edgecompress.cli` draws anything.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""`progress(stage, done, total)`: `done` rises from 0 to `total` within one stage; a new stage's words end the one before."""


def silent(stage: str, done: int, total: int | None) -> None:
    """The listener that nobody hears."""
