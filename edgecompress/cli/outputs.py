"""Files that a command is about to write: none of them may take the place of what it reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgecompress.errors import OutputError


def check_outputs(inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Whether each output is a file of its own, by whatever name.

    Raises:
        OutputError: a result would take the place of an input, or of another result.
    """
    taken = {os.path.realpath(path) for path in inputs}
    for output in outputs:
        place = os.path.realpath(output)
        if place in taken:
            raise OutputError(f"{output}: is in use by this command already, and the result would replace it", hint="name another file")
        taken.add(place)
