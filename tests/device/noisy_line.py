"""A line that drops, doubles, damages and delays bytes at random, both ways."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Self

DELAY_S = 0.005


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

    @property
    def disturbed(self) -> int:
        """How many bytes did not arrive as they were sent."""
        return self.faults.total() - self.faults["none"]

    @property
    def delayed_s(self) -> float:
        """Seconds that delays took, both ways together."""
        return self.faults["delay"] * DELAY_S

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
                time.sleep(DELAY_S)
            if fault == "damage":
                noisy.append(byte ^ (1 << rng.randrange(8)))
            elif fault != "drop":
                noisy += bytes([byte]) * (2 if fault == "double" else 1)
        return bytes(noisy)
