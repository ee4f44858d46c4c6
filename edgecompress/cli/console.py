"""Where results (stdout) and progress (stderr) are drawn: bars and boxes on a terminal, plain full-width lines in a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import NoReturn, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from edgecompress.cli.exits import CLOSED_PIPE
from edgecompress.cli.interrupts import raise_lost
from edgecompress.cli.text import printable, wants_colour

_PIPE_WIDTH = 4000
"""Columns of output that goes to no terminal: wider than any table, so that no number is ever cut or wrapped."""


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise SystemExit(CLOSED_PIPE)


def _console(stream: TextIO) -> Console:
    # A pipe has no width; rich would take 80 (or an exported COLUMNS) and wrap.
    width = None if stream.isatty() else _PIPE_WIDTH
    return _Console(file=stream, width=width, no_color=not wants_colour(stream), highlight=False, markup=False, emoji=False)


def stdout_console() -> Console:
    """For results."""
    return _console(sys.stdout)


def stderr_console() -> Console:
    """For progress."""
    return _console(sys.stderr)


class ProgressDisplay:
    """Draws `edgecompress.progress.Progress` calls: one bar a stage on a terminal, one line a stage elsewhere.

    with ProgressDisplay() as progress:
        pipeline.measure(..., progress=progress)
    """

    def __init__(self) -> None:
        self._console = stderr_console()
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._started = 0.0

    def __enter__(self) -> ProgressDisplay:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Bars(*columns, console=self._console)
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end_stage(failed=error is not None)
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        raise_lost()
        if stage != self._stage:
            self._end_stage(failed=False)
            self._begin_stage(stage)
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=total)

    def _begin_stage(self, stage: str) -> None:
        self._stage = stage
        self._started = time.monotonic()
        if self._bars is not None:
            self._task = self._bars.add_task(printable(stage), total=None)

    def _end_stage(self, *, failed: bool) -> None:
        if not self._stage:
            return
        if self._bars is None:
            outcome = " (not finished)" if failed else ""
            self._console.print(f"{printable(self._stage)}: {time.monotonic() - self._started:.1f} s{outcome}")
        elif self._task is not None:
            if not failed:
                # A stage whose amount was never known ends as a full bar rather than a moving one.
                task = next(task for task in self._bars.tasks if task.id == self._task)
                total = task.total or task.completed or 1
                self._bars.update(self._task, completed=total, total=total)
            self._bars.stop_task(self._task)
        self._stage = ""
