"""What can measure the current of a board."""

from __future__ import annotations

from enum import Enum


class Instrument(Enum):
    """JOULESCOPE: JS110 or JS220, which measure the voltage as well. PPK2: Nordic's Power Profiler Kit II."""

    JOULESCOPE = "joulescope"
    PPK2 = "ppk2"
