"""Instruments that measure a synthetic bench: the Python packages of Joulescope and PPK2, made by code from their documented interfaces.

The bench knows when the board pulled its energy pin low, by this computer's clock; an instrument's samples are computed from that. No real
instrument has confirmed them.
"""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import Self

import numpy as np
import pytest
from numpy.typing import NDArray

IDLE_A, BUSY_A, VOLTS = 0.010, 0.050, 3.0
HOLD_S = 0.002
JOULESCOPE_HZ = 50_000
PPK2_HZ = 100_000
# The documented conversion of range 3, without calibration: amperes = adc * 4 * 1.8 / 163840 / 0.94 ohm.
_RANGE, _AMPERES_PER_ADC = 3, 4 * 1.8 / 163840 / 0.94
_OHMS = (1031.64, 101.65, 10.15, 0.94, 0.043)
METADATA = "".join(["Calibrated: 0\n", *(f"R{i}: {ohm}\nGS{i}: 0\nGI{i}: 1\n" for i, ohm in enumerate(_OHMS)), "HW: 9173\nIA: 56\nEND"])


class Bench:
    """A board on the desk: busy between its pulses, idle else. `glitch` adds a third pulse at the end."""

    def __init__(self, *, wired: bool = True, glitch: bool = False) -> None:
        self.pulses: list[tuple[float, float]] = []
        self.wired = wired
        self.glitch = glitch

    def pulse(self) -> None:
        """Pull the pin low for a while."""
        for _ in range(2 if self.glitch and len(self.pulses) == 1 else 1):
            began = time.monotonic()
            time.sleep(HOLD_S)
            self.pulses.append((began, time.monotonic()))
            time.sleep(HOLD_S)

    def sample(self, start_s: float, count: int, hz: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Amperes and pin of `count` samples from `start_s` on."""
        at = start_s + np.arange(count) / hz
        pin = np.ones(count, np.bool_)
        for low, high in self.pulses if self.wired else []:
            pin &= (at < low) | (at >= high)
        starts = [high for _, high in self.pulses[:1]] or [np.inf]
        ends = [low for low, _ in self.pulses[1:2]] or [np.inf]
        return np.where((at >= starts[0]) & (at < ends[0]), BUSY_A, IDLE_A), pin


# ---- Joulescope ----


class StreamBuffer:
    """`samples_get` and `sample_id_range` as the package documents them; it holds the last 5,000 samples."""

    def __init__(self, amperes: NDArray[np.float64], pin: NDArray[np.bool_]) -> None:
        self._amperes = amperes
        self._pin = pin
        self.end = 0

    @property
    def sample_id_range(self) -> tuple[int, int]:
        return max(0, self.end - 5_000), self.end

    def samples_get(self, start: int, stop: int, fields: list[str]) -> dict[str, dict[str, dict[str, object]]]:
        part = slice(start, stop)
        values = {
            "current": self._amperes[part].astype(np.float32),
            "voltage": np.full(stop - start, VOLTS, np.float32),
            "current_lsb": self._pin[part].astype(np.uint8),
            "voltage_lsb": np.zeros(stop - start, np.uint8),
        }
        return {"signals": {field: {"value": values[field]} for field in fields}}


class SyntheticJoulescope:
    """One device of `joulescope.scan`. `skipped` samples in the middle never reach the host."""

    sampling_frequency = JOULESCOPE_HZ

    def __init__(self, bench: Bench, skipped: int = 0) -> None:
        self._bench = bench
        self._skipped = skipped
        self.parameters: dict[str, str] = {}
        self.opened = 0
        self._listeners: list[object] = []
        self._began: float | None = None

    def __str__(self) -> str:
        return "JS220-000000"

    def open(self) -> None:
        self.opened += 1

    def close(self) -> None:
        self.opened -= 1

    def parameter_set(self, name: str, value: str) -> None:
        self.parameters[name] = value

    def stream_process_register(self, listener: object) -> None:
        self._listeners.append(listener)

    def stream_process_unregister(self, listener: object) -> None:
        self._listeners.remove(listener)

    def start(self) -> None:
        self._began = time.monotonic()

    def stop(self) -> None:
        assert self._began is not None
        count = int((time.monotonic() - self._began) * JOULESCOPE_HZ)
        buffer = StreamBuffer(*self._bench.sample(self._began, count, JOULESCOPE_HZ))
        while buffer.end < count:
            if buffer.end >= 15_000:
                buffer.end += self._skipped
                self._skipped = 0
            buffer.end = min(count, buffer.end + 5_000)
            if any(listener.stream_notify(buffer) for listener in self._listeners):
                return


def install_joulescope(monkeypatch: pytest.MonkeyPatch, *devices: SyntheticJoulescope) -> None:
    """Put the package in the real one's place."""
    package = ModuleType("joulescope")
    package.scan = lambda config: list(devices)
    monkeypatch.setitem(__import__("sys").modules, "joulescope", package)


# ---- PPK2 ----


class Ppk2Stream:
    """The bytes of a PPK2's samples since it was started, four each. `lost` samples vanish after each 10,000."""

    def __init__(self, bench: Bench, lost: int = 0) -> None:
        self._bench = bench
        self._lost = lost
        self._next = 0
        self._began: float | None = None

    def start(self) -> None:
        self._next, self._began = 0, time.monotonic()

    def stop(self) -> None:
        self._began = None

    def take(self) -> bytes:
        """What came since the last call."""
        if self._began is None:
            return b""
        # A sample is computed 10 ms late, when it is known whether the pin was low.
        count = max(0, int((time.monotonic() - self._began - 0.01) * PPK2_HZ) - self._next)
        amperes, pin = self._bench.sample(self._began + self._next / PPK2_HZ, count, PPK2_HZ)
        numbers = np.arange(self._next, self._next + count)
        self._next += count
        adc = np.round(amperes / _AMPERES_PER_ADC).astype(np.uint32)
        words = adc | np.uint32(_RANGE << 14) | (numbers % 64).astype(np.uint32) << 18 | pin.astype(np.uint32) << 24 + 2
        return words[numbers % 10_000 >= self._lost].astype("<u4").tobytes()


class SyntheticPpk2Api:
    """`ppk2_api.ppk2_api.PPK2_API` as its documentation shows it, over a stream in this process."""

    def __init__(self, stream: Ppk2Stream) -> None:
        self.stream = stream
        self.calls: list[object] = []

    def __call__(self, port: str, **options: object) -> Self:
        self.calls.append(port)
        return self

    def list_devices(self) -> list[str]:
        return ["/dev/ttyPPK2"]

    def get_modifiers(self) -> bool:
        return True

    def set_source_voltage(self, millivolts: int) -> None:
        self.calls.append(millivolts)

    def use_source_meter(self) -> None:
        self.calls.append("source")

    def use_ampere_meter(self) -> None:
        self.calls.append("ampere")

    def toggle_DUT_power(self, state: str) -> None:  # noqa: N802
        self.calls.append(state)

    def start_measuring(self) -> None:
        self.stream.start()

    def stop_measuring(self) -> None:
        self.stream.stop()

    def get_data(self) -> bytes:
        return self.stream.take()

    def get_samples(self, data: bytes) -> tuple[list[float], list[int]]:
        words = np.frombuffer(data, "<u4")
        return list((words & 0x3FFF) * _AMPERES_PER_ADC * 1e6), list(words >> 24)


def install_ppk2(monkeypatch: pytest.MonkeyPatch, api: SyntheticPpk2Api) -> None:
    """Put the package in the real one's place."""
    modules = __import__("sys").modules
    module = ModuleType("ppk2_api.ppk2_api")
    module.PPK2_API = api
    monkeypatch.setitem(modules, "ppk2_api", ModuleType("ppk2_api"))
    monkeypatch.setitem(modules, "ppk2_api.ppk2_api", module)


class SyntheticPpk2:
    """A PPK2 behind a pseudo-terminal, for the real package: a context manager; `port` is where it is.

    Commands: 0x19 asks for the calibration, 0x06 and 0x07 start and stop, 0x0d has two more bytes, 0x0c and 0x11 one.
    """

    def __init__(self, bench: Bench) -> None:
        self._stream = Ppk2Stream(bench)
        self.commands: list[bytes] = []

    def __enter__(self) -> Self:
        self._main, self._side = pty.openpty()
        tty.setraw(self._side)
        self.port = os.ttyname(self._side)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(5)
        os.close(self._main)
        os.close(self._side)

    def _serve(self) -> None:
        answers: dict[int, Callable[[], object]] = {
            0x19: lambda: os.write(self._main, METADATA.encode()),
            0x06: self._stream.start,
            0x07: self._stream.stop,
        }
        with suppress(OSError):
            while not self._over.is_set():
                if select.select([self._main], [], [], 0.002)[0]:
                    data = os.read(self._main, 64)
                    while data:
                        size = {0x0D: 3, 0x0C: 2, 0x11: 2}.get(data[0], 1)
                        self.commands.append(data[:size])
                        answers.get(data[0], bool)()
                        data = data[size:]
                data = self._stream.take()
                while data:
                    data = data[os.write(self._main, data) :]
