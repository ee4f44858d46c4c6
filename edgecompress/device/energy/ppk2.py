"""Nordic's Power Profiler Kit II, through the Python package ppk2-api.

It takes 100,000 samples a second, each four bytes (nRF Connect's Power Profiler, `serialDevice`): from the lowest bit on 14 of ADC, 3 of
range, a spare one, 6 of a counter, 8 of digital inputs. The package makes amperes of them, slower than they come; so they are kept, and
converted afterwards.
The PPK2 does not measure the voltage: in source mode it makes it, as ampere meter it must be told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecompress.device.energy.monitor import SETTLE_S, Reading, import_package, instrument_errors
from edgecompress.device.energy.window import WindowIntegrator
from edgecompress.errors import DeviceError

INPUTS = 8
SAMPLING_HZ = 100_000.0
SAMPLE_BYTES = 4
# Of one measurement: eleven minutes.
MAX_BYTES = 256 << 20
LEAST_VOLTS, MOST_VOLTS = 0.8, 5.0
_NAME = "PPK2"
_POLL_S = 0.001
_COUNTER_AT, _COUNTER_MASK = 18, 0x3F
_CHUNK_BYTES = SAMPLE_BYTES << 16
_TIMEOUT_S = 1.0


def open_ppk2(*, volts: float, pin: int = 0, source: bool = False) -> Ppk2Monitor:
    """The one PPK2 that is connected; the board's supply is on from here on.

    Args:
        volts: of the board, 0.8 to 5.
        pin: the digital input that the board's energy pin is wired to, 0 to 7.
        source: the PPK2 feeds the board; else it is an ampere meter in the board's supply.

    Raises:
        ToolError: the package is not installed.
        DeviceError: none is connected, or several are, or its calibration cannot be read.
    """
    api = import_package("ppk2_api.ppk2_api", "ppk2").PPK2_API
    with instrument_errors(_NAME):
        ports = [port if isinstance(port, str) else port[0] for port in api.list_devices()]  # newer releases add the serial number
        if len(ports) != 1:
            raise DeviceError(
                f"expected one PPK2; connected: {', '.join(ports) or 'none'}", hint="connect one by USB, and close nRF Connect"
            )
        device = api(ports[0], timeout=_TIMEOUT_S, write_timeout=_TIMEOUT_S, exclusive=True)
        device.stop_measuring()
        device.get_data()
        if not device.get_modifiers():
            raise DeviceError(f"{_NAME} on {ports[0]}: its calibration cannot be read", hint="unplug it, plug it in again")
        device.set_source_voltage(round(volts * 1000))
        if source:
            device.use_source_meter()
        else:
            device.use_ampere_meter()
        device.toggle_DUT_power("ON")
    return Ppk2Monitor(device, ports[0], volts, pin)


class Ppk2Monitor:
    """See `open_ppk2`; the rest is `EnergyMonitor`."""

    def __init__(self, device: Any, port: str, volts: float, pin: int) -> None:  # noqa: ANN401 (the package is untyped)
        self._device = device
        self._port = port
        self._volts = volts
        self._pin = pin

    def measure(self, work: Callable[[], None]) -> Reading:
        """Raises as `EnergyMonitor.measure`."""
        with instrument_errors(_NAME):
            self._device.get_data()
            self._device.start_measuring()
            reader = _Reader(self._device)
            reader.start()
            try:
                time.sleep(SETTLE_S)
                work()
                time.sleep(SETTLE_S)
            finally:
                data = reader.stop()
                self._device.stop_measuring()
        if not data:
            raise DeviceError(f"{_NAME} on {self._port}: no sample came", hint="unplug it, plug it in again, and try once more")
        return Reading(self._integrate(data), SAMPLING_HZ, f"PPK2 on {self._port}")

    def close(self) -> None:
        port = getattr(self._device, "ser", None)
        if port is not None:
            with instrument_errors(_NAME):
                port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _integrate(self, data: bytes) -> Any:  # noqa: ANN401 (of the integrator)
        integrator = WindowIntegrator(SAMPLING_HZ)
        data = data[: len(data) // SAMPLE_BYTES * SAMPLE_BYTES]
        counter: int | None = None
        for at in range(0, len(data), _CHUNK_BYTES):
            chunk = data[at : at + _CHUNK_BYTES]
            with instrument_errors(_NAME):
                microamperes, bits = self._device.get_samples(chunk)
            counters = _counters(chunk)
            if not len(microamperes) == len(bits) == len(counters):
                raise DeviceError(
                    f"{_NAME}: {len(counters)} samples came, and its package made {len(microamperes)} of them", hint="update ppk2-api"
                )
            amperes = np.array(microamperes, np.float64) * 1e-6
            pin = (np.array(bits, np.uint8) >> self._pin & 1).astype(np.bool_)
            counter = _feed(integrator, amperes, self._volts, pin, counters, counter)
        return integrator.result()


def _counters(chunk: bytes) -> NDArray[np.int64]:
    """The samples' counters, [N], 0 to 63."""
    return (np.frombuffer(chunk, "<u4") >> _COUNTER_AT & _COUNTER_MASK).astype(np.int64)


def _feed(
    integrator: WindowIntegrator,
    amperes: NDArray[np.float64],
    volts: float,
    pin: NDArray[np.bool_],
    counters: NDArray[np.int64],
    last: int | None,
) -> int:
    """Feed samples, with those that the counters miss as lost; the last counter. A gap of a multiple of 64 cannot be seen."""
    steps = np.diff(counters, prepend=counters[0] - 1 if last is None else last) - 1 & _COUNTER_MASK
    at = 0
    for gap in np.flatnonzero(steps):
        integrator.feed(amperes[at:gap], np.full(gap - at, volts), pin[at:gap])
        integrator.feed_lost(int(steps[gap]))
        at = int(gap)
    integrator.feed(amperes[at:], np.full(len(amperes) - at, volts), pin[at:])
    return int(counters[-1])


class _Reader(threading.Thread):
    """Takes the bytes off the port as they come, which holds few."""

    def __init__(self, device: Any) -> None:  # noqa: ANN401
        super().__init__(daemon=True)
        self._device = device
        self._over = threading.Event()
        self._data = bytearray()
        self._failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(_POLL_S) and len(self._data) < MAX_BYTES:
                self._data += self._device.get_data()
        except Exception as e:  # told by `stop`, in the caller's thread
            self._failure = e

    def stop(self) -> bytes:
        """Everything that came. Raises what the port raised."""
        self._over.set()
        self.join()
        if self._failure is not None:
            raise self._failure
        return bytes(self._data)
