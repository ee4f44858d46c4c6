"""A line that drops, doubles, damages and delays bytes at random, both ways: right numbers or a clear error, in bounded time."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from noisy_line import NoisyLine
from simulated_device import SimulatedDevice

from edgecompress.device import open_serial
from edgecompress.device.serial import GREETING_S
from edgecompress.errors import DeviceError

SESSIONS = 1000
WORKERS = 16
BYTES = 24
TIMEOUT_S = 0.15
# What one disturbed byte can cost: an answer that is waited for in vain, then the answers behind it that are let pass.
WAIT_S = TIMEOUT_S + max(GREETING_S, 2 * TIMEOUT_S)
# What a busy core adds to a session.
BUSY_S = 5.0
TICKS, OVERHEAD = 1000, 40


def session(seed: int) -> tuple[str, int, float]:
    """One session over a noisy line: how it ended, how many bytes were disturbed, and its seconds beyond what they may cost."""
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
        return ended, line.disturbed, seconds - line.disturbed * WAIT_S - line.delayed_s


def test_a_noisy_line_never_gives_a_wrong_number(monkeypatch: pytest.MonkeyPatch, record_property: pytest.RecordProperty) -> None:
    """1,000 sessions with faults in both directions end in the right outputs and times, or in an error that says what happened."""
    from serial.urlhandler import protocol_socket

    from edgecompress.device import serial as serial_module

    monkeypatch.setattr(protocol_socket, "time", SimpleNamespace(sleep=lambda _: None))  # pyserial rests 0.3 s after a socket
    monkeypatch.setattr(serial_module, "INFERENCE_TIMEOUT_S", 2 * TIMEOUT_S)
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(session, range(SESSIONS)))
    ends = Counter(ended for ended, *_ in results)
    disturbed = sum(count for _, count, *_ in results)
    record_property("result", f"noisy line: {SESSIONS} sessions, {disturbed} bytes disturbed: {dict(sorted(ends.items()))}")
    assert set(ends) <= {"right", "error"}
    assert ends["right"] > SESSIONS // 4
    assert max(beyond for *_, beyond in results) < BUSY_S
