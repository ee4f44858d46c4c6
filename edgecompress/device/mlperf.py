"""A device that speaks the serial protocol of MLPerf Tiny, whoever wrote its firmware (mlcommons/tiny, benchmark/api).

The protocol has no checksum and waits for every 31 bytes, and times whole groups of inferences in microseconds. It says nothing of
memory, of single operators, or of which file the model came from.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from edgecompress.device import wire
from edgecompress.device.link import Link, open_link
from edgecompress.errors import DeviceError, LinkError
from edgecompress.profile import Measurement

REPLY_TIMEOUT_S = 5.0
# For all inferences of one command; MLPerf's own runner allows 30 s.
INFERENCE_TIMEOUT_S = 300.0
BYTES_PER_COMMAND = 31
# Lines of one answer: `db print` of 27,648 bytes has 3,456.
MAX_LINES = 100_000


@dataclass(frozen=True)
class MlperfProfile:
    """What `profile` answers: the firmware's version and the model's id (ic01, kws01, vww01, ad01, ...)."""

    firmware: str
    model: str


@dataclass(frozen=True)
class MlperfRun:
    """What `infer` answers: microseconds of all `runs` together, and the dequantized outputs of the last one, to three decimals."""

    runs: int
    microseconds: int
    results: tuple[float, ...]


def open_mlperf(url: str, *, baud: int, timeout_s: float = REPLY_TIMEOUT_S) -> MlperfDevice:
    """The device on a port (`/dev/ttyACM0`, `socket://HOST:PORT`).

    Raises:
        DeviceError: the port is absent, busy or forbidden; the device is silent or speaks something else.
        LinkError: the link dropped.
    """
    link = open_link(url, baud=baud, write_timeout_s=timeout_s)
    try:
        return MlperfDevice(link, timeout_s=timeout_s)
    except BaseException:
        link.close()
        raise


class MlperfDevice:
    """A device under test of MLPerf Tiny, in performance mode."""

    def __init__(self, link: Link, *, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        """Greets the device. Raises as `open_mlperf`."""
        self._link = link
        self._timeout_s = timeout_s
        self._name = self._greet()

    @property
    def name(self) -> str:
        """The vendor that the device names."""
        return self._name

    def profile(self) -> MlperfProfile:
        """Raises LinkError when the answer lacks one of the two."""
        lines = self._command("profile")
        firmware = next((v for v in map(wire.parse_firmware, lines) if v is not None), None)
        model = next((v for v in map(wire.parse_model, lines) if v is not None), None)
        if firmware is None or model is None:
            raise self._unexpected("profile", "m-profile-[...] and m-model-[...]", lines)
        return MlperfProfile(firmware, model)

    def timestamp(self) -> int:
        """The device's time in microseconds. Raises LinkError."""
        lines = self._command("timestamp")
        laps = [lap for lap in map(wire.parse_lap, lines) if lap is not None]
        if len(laps) != 1:
            raise self._unexpected("timestamp", "one m-lap-us-N", lines)
        return laps[0]

    def load(self, data: bytes) -> None:
        """Load the bytes of one sample, as the benchmark's data set holds them.

        Raises:
            DeviceError: the device refuses this many bytes.
            LinkError: it does not confirm the last one.
        """
        command = f"db load {len(data)}"
        lines = self._command(command)
        if f"m-[Expecting {len(data)} bytes]" not in lines:  # the reference firmware complains of too many without `e-`
            raise DeviceError(
                f"{self._link.url}: sent {command!r}; the device answered: {wire.shown(' | '.join(lines[-3:])) or 'nothing'}",
                hint="is it the data of this device's model?",
            )
        for at in range(0, len(data), BYTES_PER_COMMAND):
            lines = self._command(f"db {data[at : at + BYTES_PER_COMMAND].hex()}")
        if "m-load-done" not in lines:
            raise self._unexpected(f"db ... ({len(data)} bytes)", "m-load-done", lines)

    def infer(self, runs: int, warmup: int) -> MlperfRun:
        """Time `runs` inferences after `warmup` others.

        Raises:
            DeviceError: the device refuses.
            LinkError: two laps and the results did not come.
        """
        command = f"infer {runs} {warmup}"
        lines = self._command(command, timeout_s=INFERENCE_TIMEOUT_S)
        laps = [lap for lap in map(wire.parse_lap, lines) if lap is not None]
        results = next((values for values in map(wire.parse_results, lines) if values is not None), None)
        if len(laps) != 2 or laps[1] < laps[0] or results is None:
            raise self._unexpected(command, "two rising m-lap-us-N and m-results-[...]", lines)
        return MlperfRun(runs, laps[1] - laps[0], results)

    def results(self) -> tuple[float, ...]:
        """Dequantized outputs of the last inference. Raises LinkError."""
        lines = self._command("results")
        for line in lines:
            values = wire.parse_results(line)
            if values is not None:
                return values
        raise self._unexpected("results", "m-results-[...]", lines)

    def measure(self, data: bytes, *, runs: int, warmup: int) -> Measurement:
        """Microseconds of single inferences, as precise as the device's laps. Raises as `load` and `infer`."""
        profile = self.profile()
        self.load(data)
        first = float(self.infer(1, 0).microseconds)
        if warmup:
            self.infer(warmup, 0)
        samples = tuple(float(self.infer(1, 0).microseconds) for _ in range(runs))
        environment = {"port": self._link.url, "vendor": self._name, "firmware": profile.firmware, "model": profile.model}
        return Measurement(unit="us", samples=samples, first=first, environment=environment)

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- commands ----

    def _greet(self) -> str:
        """End whatever half a command the device holds, and ask for its name until it answers."""
        deadline = time.monotonic() + self._timeout_s
        while (remaining := deadline - time.monotonic()) > 0:
            self._link.send(wire.END.encode("ascii") + wire.encode_command("name"))
            name = self._read_name(min(1.0, remaining))
            if name is not None:
                self._let_pass()
                return name
        where = f"{self._link.url}: sent 'name' for {self._timeout_s:g} s;"
        if self._link.received_bytes == 0:
            raise DeviceError(f"{where} nothing came back", hint="is the firmware flashed and the baud rate right? Press reset")
        raise DeviceError(
            f"{where} something else than MLPerf Tiny's protocol answers: {self._link.last_seen}",
            hint="is this the right port and baud rate?",
        )

    def _read_name(self, timeout_s: float) -> str | None:
        deadline = time.monotonic() + timeout_s
        while (line := self._link.read_line(max(0.0, deadline - time.monotonic()))) is not None:
            name = wire.parse_name(line)
            if name is not None:
                return name
        return None

    def _let_pass(self) -> None:
        """Read to the end of what the greetings caused, so that no old m-ready ends a later command."""
        for _ in range(MAX_LINES):
            if self._link.read_line(0.2) is None:
                return

    def _command(self, command: str, *, timeout_s: float | None = None) -> list[str]:
        """Send one command and collect its lines up to m-ready."""
        timeout = self._timeout_s if timeout_s is None else timeout_s
        self._link.send(wire.encode_command(command))
        lines: list[str] = []
        deadline = time.monotonic() + timeout
        while len(lines) < MAX_LINES:
            line = self._link.read_line(max(0.0, deadline - time.monotonic()))
            if line is None:
                raise LinkError(
                    f"{self._link.url}: sent {wire.shown(command, 40)!r}; expected m-ready within {timeout:g} s; "
                    f"it last sent: {self._link.last_seen or 'nothing'}",
                    hint="reset the device, and check its power and cable",
                )
            if line == wire.READY:
                self._check_complaints(command, lines)
                return lines
            if line == wire.BOOTED:
                raise LinkError(f"{self._link.url}: the device restarted in the middle of the work", hint="check its power; run again")
            lines.append(line)
        raise LinkError(
            f"{self._link.url}: sent {wire.shown(command, 40)!r}; more than {MAX_LINES} lines came back", hint="reset the device"
        )

    def _check_complaints(self, command: str, lines: list[str]) -> None:
        complaint = next((c for c in map(wire.parse_error, lines) if c is not None), None)
        if complaint is not None:
            raise DeviceError(
                f"{self._link.url}: sent {wire.shown(command, 40)!r}; the device answered: {wire.shown(complaint)}",
                hint="is it the data of this device's model?",
            )

    def _unexpected(self, command: str, expected: str, lines: list[str]) -> LinkError:
        came = wire.shown(" | ".join(lines[-5:])) or "only m-ready"
        return LinkError(
            f"{self._link.url}: sent {wire.shown(command, 40)!r}; expected {expected}; it answered: {came}",
            hint="check the cable and the baud rate",
        )
