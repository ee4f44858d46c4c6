"""Joules between two pulses of a board's energy pin, from samples that arrive in pieces.

      ______     ________________________     ______
            |___|         window         |___|            the pin: MLPerf Tiny's, low for 0.1 ms before and after

    joules = sum of amperes * volts / sampling_hz, over the samples of the window

Samples that the instrument lost are NaN: they count as time, at the mean power of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edgecompress.errors import DeviceError

MOST_LOST = 0.01
"""The share of a window's samples that may be missing."""


class _Phase(Enum):
    BEFORE = "before the first pulse"
    FIRST_PULSE = "in the first pulse"
    WINDOW = "in the window"
    AFTER = "after it"


@dataclass(frozen=True)
class Window:
    """What was measured between two pulses.

    Attributes:
        samples: of the window; `seconds` is their number over the sampling rate, good to two samples.
        lost_samples: those among them that the instrument did not deliver.
    """

    joules: float
    seconds: float
    samples: int
    lost_samples: int


class WindowIntegrator:
    """Adds up samples as they come; the pin is released (high) when no inference is timed."""

    def __init__(self, sampling_hz: float) -> None:
        self._hz = sampling_hz
        self._phase = _Phase.BEFORE
        self._level: bool | None = None
        self._watts = 0.0
        self._samples = 0
        self._lost = 0
        self._pulses = 0

    def feed(self, amperes: NDArray[np.floating], volts: NDArray[np.floating], pin: NDArray[np.bool_]) -> None:
        """Take further samples.

        Args:
            amperes, volts, pin: [N] each; NaN where a sample was lost.
        """
        if len(pin) == 0:
            return
        level = bool(pin[0]) if self._level is None else self._level
        at = 0
        for edge in np.flatnonzero(np.diff(pin.astype(np.int8), prepend=np.int8(level))):
            if self._phase is _Phase.AFTER:
                break
            self._add(amperes[at:edge], volts[at:edge])
            self._pass_edge(rising=bool(pin[edge]))
            at, level = int(edge), bool(pin[edge])
        if self._phase is _Phase.AFTER:
            self._pulses += int(np.count_nonzero(np.diff(pin[at:].astype(np.int8), prepend=np.int8(level)) == -1))
        else:
            self._add(amperes[at:], volts[at:])
        self._level = bool(pin[-1])

    def feed_lost(self, count: int) -> None:
        """Samples that never came: the pin is taken for what it was before."""
        self.feed(np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32), np.full(count, self._level is not False))

    def result(self) -> Window:
        """The window.

        Raises:
            DeviceError: the pin did not pulse twice, or too many samples were lost.
        """
        if self._phase is not _Phase.AFTER or self._pulses != 2:
            raise DeviceError(
                f"the energy pin pulsed {self._pulses} time(s) while the inferences ran; expected 2",
                hint="wire the board's energy pin (and ground) to the instrument's digital input, and flash firmware that has the pin",
            )
        if self._samples == 0 or self._lost > MOST_LOST * self._samples:
            raise DeviceError(
                f"the instrument lost {self._lost:,} of {self._samples:,} samples between the pulses ({MOST_LOST:.0%} may be missing)",
                hint="connect it to the computer directly, and let nothing else run",
            )
        seconds = self._samples / self._hz
        return Window(self._watts / (self._samples - self._lost) * seconds, seconds, self._samples, self._lost)

    def _pass_edge(self, *, rising: bool) -> None:
        if not rising:
            self._pulses += 1
        if not rising and self._phase is _Phase.BEFORE:
            self._phase = _Phase.FIRST_PULSE
        elif rising and self._phase is _Phase.FIRST_PULSE:
            self._phase = _Phase.WINDOW
        elif not rising and self._phase is _Phase.WINDOW:
            self._phase = _Phase.AFTER

    def _add(self, amperes: NDArray[np.floating], volts: NDArray[np.floating]) -> None:
        if self._phase is not _Phase.WINDOW:
            return
        watts = amperes.astype(np.float64) * volts
        lost = int(np.count_nonzero(np.isnan(watts)))
        self._watts += float(np.nansum(watts))
        self._samples += len(watts)
        self._lost += lost
