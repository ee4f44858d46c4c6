"""A device of MLPerf Tiny's protocol that is not ours, as small as the protocol allows, with the reference firmware's quirks.

Too large a sample is complained of without `e-`, and hex chunks are answered by nothing but `m-ready`. Its clock is this computer's.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

BIGGEST = 4096


class SyntheticMlperfDevice:
    """A context manager; `url` is where pyserial finds it.

    `lie` is added to the microseconds of each inference's end, or of the one `lie_at` (from 0) alone. `took_us` is what an inference takes
    by its own word, which is true; None: whatever it took. The line `lost` (from 0, over all answers) never arrives. `pulse` is called
    where the energy pin of a board is pulsed, in commands of more than one inference.
    """

    def __init__(
        self,
        *,
        model: str = "kws01",
        lie: int = 0,
        lie_at: int | None = None,
        took_us: int | None = None,
        lost: int | None = None,
        pulse: Callable[[], object] | None = None,
    ) -> None:
        self.model = model
        self.lie = lie
        self.lie_at = lie_at
        self.took_us = took_us
        self.lost = lost
        self.pulse = pulse
        self._lines = 0
        self._inferences = 0
        self.loaded = bytearray()
        self._expected = 0

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection, suppress(OSError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        buffer = b""
        while data := connection.recv(4096):
            *commands, buffer = (buffer + data).split(b"%")
            for command in commands:
                try:
                    lines = self._answer(command.decode("latin-1").split())
                except ValueError:  # a number that is none, an odd digit
                    lines = ["e-[Cannot read this]"]
                connection.sendall(self._text([*lines, "m-ready"]))

    def _text(self, lines: list[str]) -> bytes:
        first = self._lines
        self._lines += len(lines)
        return "".join(f"{line}\r\n" for number, line in enumerate(lines, first) if number != self.lost).encode()

    def _answer(self, words: list[str]) -> list[str]:
        match words:
            case []:
                return []
            case ["name"]:
                return ["m-name-dut-[elsewhere]"]
            case ["profile"]:
                return ["m-profile-[firmware 3.1]", f"m-model-[{self.model}]"]
            case ["timestamp"]:
                return [f"m-lap-us-{now_us()}"]
            case ["db", "load", count]:
                return self._expect(int(count))
            case ["db", digits]:
                self.loaded += bytes.fromhex(digits)
                return ["m-load-done"] if len(self.loaded) == self._expected else []
            case ["infer", runs, warmup]:
                return self._infer(int(runs), int(warmup))
        return [f"e-[Unknown command: {' '.join(words)}]"]

    def _expect(self, count: int) -> list[str]:
        if count > BIGGEST:
            return [f"Supplied buffer size {count} exceeds maximum of {BIGGEST}"]
        if count < 1:
            return ["e-[Command 'db load' must be >0 bytes]"]
        self._expected = count
        self.loaded.clear()
        return [f"m-[Expecting {count} bytes]"]

    def _infer(self, runs: int, warmup: int) -> list[str]:
        pulses = self.pulse if runs > 1 else None
        if pulses:
            pulses()
        began = now_us()
        time.sleep(0.001 * runs)
        ended = now_us() if self.took_us is None else began + self.took_us * runs
        if self.lie_at is None or self.lie_at == self._inferences:
            ended += self.lie
        self._inferences += 1
        if pulses:
            pulses()
        laps = [f"m-infer-start-{runs}", f"m-lap-us-{began}", f"m-lap-us-{ended}", "m-infer-done"]
        return [f"m-warmup-start-{warmup}", "m-warmup-done", *laps, "m-results-[0.125,-0.000,0.875]"]


def now_us() -> int:
    """Microseconds of this computer's clock."""
    return time.monotonic_ns() // 1000
