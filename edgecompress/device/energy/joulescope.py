"""A Joulescope JS110 or JS220, through the Python package joulescope (joulescope.readthedocs.io: `Device`, `StreamBuffer`).

The driver calls `stream_notify` whenever samples arrived; current, voltage and the general-purpose inputs come with one sample each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np

from edgecompress.device.energy.monitor import SETTLE_S, Reading, import_package, instrument_errors
from edgecompress.device.energy.window import WindowIntegrator
from edgecompress.errors import DeviceError

INPUTS = 2
_NAME = "Joulescope"
# The names of the two inputs' samples, which stood in the lowest bits of current and voltage in the JS110.
_FIELDS = ("current_lsb", "voltage_lsb")
_IO_VOLTS = (1.8, 2.1, 2.5, 2.7, 3.0, 3.3, 3.6, 5.0)


def open_joulescope(*, pin: int = 0, volts: float | None = None) -> JoulescopeMonitor:
    """The one Joulescope that is connected.

    Args:
        pin: the general-purpose input that the board's energy pin is wired to, 0 or 1.
        volts: of the board's pins; 3.3 when None.

    Raises:
        ToolError: the package is not installed.
        DeviceError: none is connected, or several are.
    """
    package = import_package("joulescope", "joulescope")
    with instrument_errors(_NAME):
        found = list(package.scan(config="auto"))
        if len(found) != 1:
            names = ", ".join(map(str, found)) or "none"
            raise DeviceError(f"expected one Joulescope; connected: {names}", hint="connect one by USB, and close its own program")
        (device,) = found
        device.open()
        try:
            nearest = min(_IO_VOLTS, key=lambda level: abs(level - (volts or 3.3)))
            device.parameter_set("io_voltage", f"{nearest:.1f}V")
            device.parameter_set("current_lsb", "gpi0")
            device.parameter_set("voltage_lsb", "gpi1")
        except BaseException:
            device.close()
            raise
    return JoulescopeMonitor(device, pin)


class JoulescopeMonitor:
    """See `open_joulescope`; the rest is `EnergyMonitor`."""

    def __init__(self, device: Any, pin: int) -> None:  # noqa: ANN401 (the package is untyped)
        self._device = device
        self._field = _FIELDS[pin]
        self._open = True

    def measure(self, work: Callable[[], None]) -> Reading:
        """Raises as `EnergyMonitor.measure`."""
        with instrument_errors(_NAME):
            hz = float(self._device.sampling_frequency)
            listener = _Listener(WindowIntegrator(hz), self._field)
            self._device.stream_process_register(listener)
            self._device.start()
            try:
                time.sleep(SETTLE_S)
                work()
                time.sleep(SETTLE_S)
            finally:
                self._device.stop()
                self._device.stream_process_unregister(listener)
        return Reading(listener.result(), hz, str(self._device))

    def close(self) -> None:
        if self._open:
            self._open = False
            with instrument_errors(_NAME):
                self._device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Listener:
    """What the driver's thread calls."""

    driver_active = True  # the package sets it, and ends the calls when it is False

    def __init__(self, integrator: WindowIntegrator, field: str) -> None:
        self._integrator = integrator
        self._field = field
        self._next: int | None = None
        self._failure: Exception | None = None

    def stream_notify(self, stream_buffer: Any) -> bool:  # noqa: ANN401 (the package is untyped)
        """True ends the stream. The driver's thread drops exceptions, so they are kept."""
        try:
            self._take(stream_buffer)
        except Exception as e:
            self._failure = e
        return self._failure is not None

    def result(self) -> Any:  # noqa: ANN401 (of the integrator)
        if self._failure is not None:
            raise DeviceError(
                f"{_NAME}: its samples cannot be read: {self._failure}", hint="update the Python package joulescope"
            ) from self._failure
        return self._integrator.result()

    def _take(self, stream_buffer: Any) -> None:  # noqa: ANN401
        start, end = stream_buffer.sample_id_range
        if start is None or end is None:
            return
        if self._next is not None and start > self._next:
            self._integrator.feed_lost(start - self._next)
        start = start if self._next is None else max(start, self._next)
        if end <= start:
            return
        signals = stream_buffer.samples_get(start, end, fields=["current", "voltage", self._field])["signals"]
        amperes, volts, pin = (np.asarray(signals[field]["value"]) for field in ("current", "voltage", self._field))
        self._integrator.feed(amperes, volts, pin > 0)
        self._next = end
