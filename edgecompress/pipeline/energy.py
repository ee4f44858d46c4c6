"""What one inference on a board costs in joules: MLPerf Tiny's `infer` between two pulses of the board's energy pin."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgecompress.errors import DeviceError, TargetError
from edgecompress.pipeline.mlperf import sample_bytes
from edgecompress.profile import EnergyWindow, Profile

if TYPE_CHECKING:
    from edgecompress.device.energy import EnergyMonitor
    from edgecompress.instrument import Instrument
    from edgecompress.pipeline.firmware import SerialPort
    from edgecompress.target import EnergyMeter, Target

WINDOW_S = 10.0
"""The shortest window of MLPerf Tiny's rules."""
MOST_RUNS = 1_000_000
WARMUP = 10
"""Inferences before the window, but no more than in it: slow models have few."""
MOST_WINDOW_ERROR = 0.05
"""By how much the window may be shorter than the inferences took by the device's clock, or longer than they took here."""


def energy_meter(target: Target | None, port: str | None, instrument: Instrument | None, volts: float | None) -> EnergyMeter | None:
    """The instrument to use: the named one, with what the target's file says of it, or the file's own; None when neither names one.

    Args:
        target: None for `serial:`.
        port: as it was named.
        volts: instead of the file's.

    Raises:
        TargetError: one was named for a device that takes no current.
    """
    from edgecompress.target import EnergyMeter, SerialLink

    takes_current = not (port or "").startswith("replay:") and (target is None or port is not None or isinstance(target.link, SerialLink))
    own = target.energy if target is not None and takes_current else None
    if instrument is None:
        return own
    if not takes_current:
        raise no_energy_of(port or ("serial:" if target is None else target.name))
    if own is None or own.instrument is not instrument:
        return EnergyMeter(instrument=instrument, volts=volts)
    return own if volts is None else own.model_copy(update={"volts": volts})


def no_energy_of(target: str) -> TargetError:
    """What is said of a device that no instrument can be wired to."""
    return TargetError(f"energy is measured of a board on a port; {target} is none", hint="leave --energy out")


@contextmanager
def opened_monitor(meter: EnergyMeter | None) -> Iterator[EnergyMonitor | None]:
    """The instrument, before anything else is asked of the board: it may be what feeds it. None where none is used."""
    if meter is None:
        yield None
        return
    from edgecompress.device.energy import open_monitor

    with open_monitor(meter.instrument, volts=meter.volts, pin=meter.input, source=meter.source) as monitor:
        yield monitor


def with_energy(profile: Profile, monitor: EnergyMonitor, port: SerialPort, input_bytes: int) -> Profile:
    """The profile with the energy of one inference.

    Args:
        profile: of the same firmware; its latency says how many inferences fill the window.
        input_bytes: of one sample.

    Raises:
        DeviceError: the instrument, the pin or the device failed; or the window does not fit the inferences.
    """
    from edgecompress.device import open_mlperf

    one_us = profile.latency.p50 or profile.latency.min
    runs = min(MOST_RUNS, max(1, math.ceil(WINDOW_S * 1e6 / max(one_us, 1.0))))
    with open_mlperf(port.url, baud=port.baud) as device:
        device.load(sample_bytes(profile.model.name, input_bytes))
        told_us: list[int] = []
        began = time.monotonic()
        reading = monitor.measure(lambda: told_us.append(device.infer(runs, min(WARMUP, runs)).microseconds))
        passed_s = time.monotonic() - began
    window = reading.window
    told_s = told_us[0] / 1e6
    if not told_s * (1 - MOST_WINDOW_ERROR) <= window.seconds <= passed_s * (1 + MOST_WINDOW_ERROR):
        raise DeviceError(
            f"{runs:,} inferences took {told_s:.3f} s by the device; between the pulses of its energy pin lie {window.seconds:.3f} s",
            hint="is that pin wired to this instrument's input, and to no other?",
        )
    facts = EnergyWindow(
        instrument=reading.instrument,
        inferences=runs,
        window_s=window.seconds,
        sampling_hz=reading.sampling_hz,
        lost_samples=window.lost_samples,
    )
    return profile.model_copy(update={"energy_uj": window.joules / runs * 1e6, "energy": facts})
