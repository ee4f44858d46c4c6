"""Values as Kotlin source text. Names and labels come from files of others: none of them may end a string or begin code."""

from __future__ import annotations

import numpy as np

from edgecompress.errors import ModelError

_ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def kotlin_string(text: str) -> str:
    """A string literal, quotes included; everything outside printable ASCII becomes \\uXXXX (two of them beyond the BMP)."""
    return '"' + "".join(_escape(c) for c in text) + '"'


def kotlin_float(value: float) -> str:
    """A Float literal that reads back as the same float32.

    Raises:
        ModelError: it is infinite or no number.
    """
    single = np.float32(value)
    if not np.isfinite(single):
        raise ModelError(f"a scale of {value} cannot be written down; expected a finite number", hint="convert the model again")
    # numpy prints the shortest decimal that reads back as the same float32.
    return f"{single!s}f"


def _escape(c: str) -> str:
    if c in _ESCAPES:
        return _ESCAPES[c]
    if " " <= c <= "~":
        return c
    units = c.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
