"""Text for a terminal that may be none: colour only where it is welcome, and no control characters that came out of a file."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour: a terminal, not a dumb one, and NO_COLOR (https://no-color.org) is unset or empty."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str) -> str:
    """`text` in an ANSI colour when stderr shows colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if wants_colour(sys.stderr) else text


def printable(text: str) -> str:
    """`text` with control characters escaped, line ends kept: names in model files must not drive the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)
