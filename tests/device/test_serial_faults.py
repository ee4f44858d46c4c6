"""A line that drops, doubles, damages and delays bytes at random, both ways: right numbers or a clear error, in bounded time."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace, TracebackType
from typing import Self

import pytest
from simulated_device import SimulatedDevice

from edgecompress.device import open_serial
from edgecompress.errors import DeviceError

SESSIONS = 1000
WORKERS = 16
BYTES = 24
TIMEOUT_S = 0.15
# A session asks about 20 times, each at most 3 times and for TIMEOUT_S; the rest is for a busy core.
SESSION_S = 20 * 3 * TIMEOUT_S + 20
TICKS, OVERHEAD = 1000, 40


class NoisyLine:
    """A byte-level proxy in front of a device; `rate` is the chance of a fault per byte. Seeded, a stream of chance each way."""

    def __init__(self, url: str, *, seed: int, rate: float) -> None:
        host, _, port = url.removeprefix("socket://").partition(":")
        self._device = (host, int(port))
        self._seed = seed
        self._rate = rate
        self.faults = Counter[str]()

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            host, _ = self._server.accept()
            with host, socket.create_connection(self._device) as device:
                back = threading.Thread(target=self._pass_on, args=(device, host, random.Random(f"{self._seed} back")), daemon=True)
                back.start()
                self._pass_on(host, device, random.Random(f"{self._seed} forth"))
                device.shutdown(socket.SHUT_RDWR)
                back.join(5)

    def _pass_on(self, source: socket.socket, sink: socket.socket, rng: random.Random) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                sink.sendall(self._disturb(data, rng))

    def _disturb(self, data: bytes, rng: random.Random) -> bytes:
        noisy = bytearray()
        for byte in data:
            fault = rng.choice(("drop", "double", "damage", "delay")) if rng.random() < self._rate else "none"
            self.faults[fault] += 1
            if fault == "delay":
                time.sleep(0.005)
            if fault == "damage":
                noisy.append(byte ^ (1 << rng.randrange(8)))
            elif fault != "drop":
                noisy += bytes([byte]) * (2 if fault == "double" else 1)
        return bytes(noisy)


def session(seed: int) -> tuple[str, int, float]:
    """One session over a noisy line: how it ended, how many bytes were disturbed, and its seconds."""
    rng = random.Random(seed)
    data = rng.randbytes(BYTES)
    ended = "right"
    with (
        SimulatedDevice(size=BYTES, ticks=TICKS, overhead=OVERHEAD) as device,
        NoisyLine(device.url, seed=seed, rate=rng.choice((0.0003, 0.001, 0.004))) as line,
    ):
        began = time.monotonic()
        try:
            with open_serial(line.url, baud=115200, timeout_s=TIMEOUT_S, clock_check_s=0) as serial:
                outputs = serial.run([data])
                measured = serial.measure([data], runs=2, warmup=0)
            right = (outputs, measured.samples) == ([bytes((b + 1) % 256 for b in data)], (float(TICKS - OVERHEAD),) * 2)
            ended = "right" if right and measured.ops == tuple(float(i) for i in range(20)) else "wrong"
        except DeviceError as e:
            ended = "error" if e.hint and ("device" in str(e) or line.url in str(e)) else "unclear"
        seconds = time.monotonic() - began
        return ended, line.faults.total() - line.faults["none"], seconds


def test_a_noisy_line_never_gives_a_wrong_number(monkeypatch: pytest.MonkeyPatch, record_property: pytest.RecordProperty) -> None:
    """1,000 sessions with faults in both directions end in the right outputs and times, or in an error that says what happened."""
    from serial.urlhandler import protocol_socket

    from edgecompress.device import serial as serial_module

    monkeypatch.setattr(protocol_socket, "time", SimpleNamespace(sleep=lambda _: None))  # pyserial rests 0.3 s after a socket
    monkeypatch.setattr(serial_module, "INFERENCE_TIMEOUT_S", 2 * TIMEOUT_S)
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(session, range(SESSIONS)))
    ends = Counter(ended for ended, _, _ in results)
    disturbed = sum(count for _, count, _ in results)
    record_property("result", f"noisy line: {SESSIONS} sessions, {disturbed} bytes disturbed: {dict(sorted(ends.items()))}")
    assert set(ends) <= {"right", "error"}
    assert ends["right"] > SESSIONS // 4
    assert max(seconds for _, _, seconds in results) < SESSION_S
