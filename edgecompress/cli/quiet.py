"""Keeps the start-up chatter of C++ libraries out of our output.

TensorFlow and LiteRT log to file descriptor 2 whatever the variables that should silence them say. While a command runs, that descriptor
leads to a temporary file and `sys.stderr` to the real one, so bars and errors stay clean; afterwards every line that is not known chatter
is shown.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|[IW]\d{4} \d\d:\d\d:\d\d|[IW]0000 00:00:"  # absl's and TensorFlow's informational and warning lines
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
    rb"|INFO: "
    rb"|To enable the following instructions:"
)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what C libraries write to stderr; nothing is changed where `sys.stderr` is not the process's own."""
    ours = sys.__stderr__
    if ours is None or sys.stderr is not ours:
        yield
        return
    ours.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        sys.stderr = os.fdopen(real, "w", encoding=ours.encoding, errors=ours.errors, buffering=1, closefd=False)
        try:
            yield
        finally:
            _flush_quietly(sys.stderr)
            sys.stderr = ours
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            _show_rest(held)


def _show_rest(held: IO[bytes]) -> None:
    for line in held:
        if line.strip() and not _CHATTER.match(line):
            try:
                os.write(2, line)
            except OSError:
                # Nobody can read stderr.
                return


def _flush_quietly(stream: IO[str]) -> None:
    try:
        stream.flush()
    except OSError:
        return
