"""A simulated device: our frames and MLPerf Tiny's commands over a loopback socket, in Python, with faults on request.

The model has one input and one output of the same size; out[i] = in[i] + 1.
"""

from __future__ import annotations

import base64
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

BANNER = b"m-timestamp-mode-performance\r\nm-lap-us-12\r\nm-init-done\r\nm-ready\r\n"


@dataclass
class Faults:
    """What goes wrong, and when. Commands and answers are counted from 0.

    Attributes:
        silent, babble: it never answers, or answers everything with the bytes of `babble`.
        only_mlperf: it does not know our frames.
        drop_at: the connection closes instead of answering this command.
        restart_at: it boots instead of answering this command, and has forgotten everything.
        tamper: changes an answer before it is sent; b"" loses it.
        damage: changes a command before it is read.
        delay_s: before each answer.
        half_a_command: what its line buffer holds when the host connects.
    """

    silent: bool = False
    babble: bytes = b""
    only_mlperf: bool = False
    drop_at: int | None = None
    restart_at: int | None = None
    tamper: Callable[[int, bytes], bytes] = lambda _, answer: answer
    damage: Callable[[int, bytes], bytes] = lambda _, command: command
    delay_s: float = 0.0
    half_a_command: bytes = b""


@dataclass
class SimulatedDevice:
    """A context manager; `url` is where pyserial finds it, `commands` what it was sent. `pulse` moves an energy pin."""

    size: int = 500
    clock_hz: int = 1_000_000
    ticks: int = 1000
    overhead: int = 40
    clock_error: float = 0.0
    pulse: Callable[[], object] = bool
    faults: Faults = field(default_factory=Faults)
    commands: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._input = bytearray(self.size)
        self._next = 0
        self._answers = 0
        self._us = 1134
        self._db = bytearray()
        self._db_size = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
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
        buffer = self.faults.half_a_command
        while data := connection.recv(4096):
            if self.faults.babble:
                connection.sendall(self.faults.babble)
                continue
            buffer += data
            *commands, buffer = buffer.split(b"%")
            for command in commands:
                number = len(self.commands)
                self.commands.append(command)
                if self.faults.silent:
                    continue
                if number == self.faults.drop_at:
                    return
                if number == self.faults.restart_at:
                    self._next = 0
                    connection.sendall(BANNER)
                    continue
                time.sleep(self.faults.delay_s)
                answer = self._answer(self.faults.damage(number, command).strip().decode("latin-1"))
                tampered = self.faults.tamper(self._answers, answer)
                self._answers += 1
                connection.sendall(tampered)

    def _answer(self, command: str) -> bytes:
        word, _, rest = command.partition(" ")
        ours = word == "ec" and not self.faults.only_mlperf
        try:
            text = self._frame(command) if ours else self._mlperf(word, rest)
        except (ValueError, IndexError):
            text = "e-[Cannot read this]\r\n"
        return (text + "m-ready\r\n").encode("latin-1")

    # ---- our frames ----

    def _frame(self, command: str) -> str:
        sequence, length, body, crc = command[3:5], command[6:10], command[11:-9], command[-8:]
        if f"{zlib.crc32(command[3:-9].encode('latin-1')):08x}" != crc or length != f"{len(body):04x}":
            return _frame_line("ff", "error frame crc")
        running = _frame_line(sequence, "running") if body.startswith(("run", "steps", "memory")) else ""
        return running + _frame_line(sequence, self._verb(*body.split(" ")))

    def _verb(self, verb: str, *words: str) -> str:
        if verb == "info":
            sha256 = "ab" * 32
            return (
                f"ok version=1 name=plus_one engine=aot sha256={sha256} arena=1024 inputs=1 outputs=1 steps=20 chunk=192 window=4 status=0"
            )
        if verb == "clock":
            return f"ok target=simulated ticks_hz=1000000 clock_hz={self.clock_hz}"
        if verb in ("input", "output"):
            return f"ok bytes={self.size} dtype=1 scale=3f000000 zero_point=-3"
        if verb == "begin":
            self._next = 0
            return "ok 0"
        if verb == "load":
            offset, data = int(words[1]), base64.b64decode(words[2])
            if offset > self._next:
                return f"error gap {self._next}"
            self._input[offset : offset + len(data)] = data
            self._next = max(self._next, offset + len(data))
            return f"ok {self._next}"
        if verb == "end":
            return "ok" if int(words[1], 16) == zlib.crc32(self._input) else "error data"
        if verb == "run":
            return f"ok {self.ticks}" if self._next == self.size else "error inputs"
        if verb == "now":
            return f"ok {int(time.monotonic() * 1_000_000 * (1 + self.clock_error))}"
        if verb == "overhead":
            return f"ok {self.overhead} {self.overhead}"
        if verb == "steps":
            first = int(words[0])
            return "ok" + "".join(f" {self.overhead + i}" for i in range(first, min(first + 16, 20)))
        if verb == "memory":
            return "ok stack=120 arena_touched=1000"
        if verb == "read":
            offset, count = int(words[1]), int(words[2])
            output = bytes((b + 1) % 256 for b in self._input)
            return f"ok {base64.b64encode(output[offset : offset + count]).decode()}"
        return "error verb"

    # ---- MLPerf Tiny ----

    def _mlperf(self, word: str, rest: str) -> str:
        if word == "":
            return ""
        if word == "name":
            return "m-name-dut-[somebody]\r\n"
        if word == "profile":
            return "m-profile-[firmware 7]\r\nm-model-[ic01]\r\n"
        if word == "timestamp":
            return f"m-lap-us-{self._tell_time()}\r\n"
        if word == "db":
            return self._load_db(rest)
        if word == "infer":
            runs, warmup = rest.split(" ")
            start = self._tell_time()
            self._us = end = start + 250 * int(runs)
            if int(runs) > 1:
                self.pulse()
                time.sleep(250e-6 * int(runs))
                self.pulse()
            return (
                f"m-warmup-start-{warmup}\r\nm-warmup-done\r\nm-infer-start-{runs}\r\nm-lap-us-{start}\r\nm-lap-us-{end}\r\n"
                "m-infer-done\r\nm-results-[0.125,-0.000,0.875]\r\n"
            )
        return f"e-[Unknown command: {word}]\r\n"

    def _tell_time(self) -> int:
        """Microseconds; 100 pass between two readings."""
        self._us += 100
        return self._us

    def _load_db(self, rest: str) -> str:
        if rest.startswith("load "):
            self._db_size = int(rest.removeprefix("load "))
            self._db.clear()
            if self._db_size > self.size:
                return f"e-[Supplied buffer size {self._db_size} exceeds maximum of {self.size}]\r\n"
            return f"m-[Expecting {self._db_size} bytes]\r\n"
        self._db += bytes.fromhex(rest)
        return "m-load-done\r\n" if len(self._db) == self._db_size else ""


def _frame_line(sequence: str, body: str) -> str:
    checked = f"{sequence} {len(body):04x} {body}"
    return f"m-ec-[{checked} {zlib.crc32(checked.encode('latin-1')):08x}]\r\n"
