"""A device that speaks the serial protocol of MLPerf Tiny, whoever wrote its firmware (mlcommons/tiny, benchmark/api).

The protocol has no checksum and waits for every 31 bytes, and times whole groups of inferences in microseconds. It says nothing of
memory, of single operators, or of which file the model came from. Every command may be repeated, and is when its answer is not whole;
numbers are held against each other and against this computer's clock (`mlperf_times`). docs/serial.md says what stays undetectable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from edgecompress.conditions import Conditions, drift_of, spread_of
from edgecompress.device import wire
from edgecompress.device.link import Link, open_link
from edgecompress.device.mlperf_times import TimedRun, problem_of
from edgecompress.device.session_log import Recording
from edgecompress.errors import DeviceError, LinkError
from edgecompress.profile import Measurement

REPLY_TIMEOUT_S = 5.0
# For all inferences of one command; MLPerf's own runner allows 30 s.
INFERENCE_TIMEOUT_S = 300.0
BYTES_PER_COMMAND = 31
# Lines of one answer: `db print` of 27,648 bytes has 3,456.
MAX_LINES = 100_000
# How often a command goes out, and an inference is timed, before the link counts as broken.
ATTEMPTS = 3
# After so long without a line, nothing more comes of what was sent before.
QUIET_S = 0.2
# When one of these has come, the rest of an answer to `infer` is only text.
_AFTER_INFERENCE = ("m-infer-done", "m-results-[")

_Value = TypeVar("_Value")


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


@dataclass(frozen=True)
class _Reply:
    """Lines before m-ready; `ended` is False when that did not come in time."""

    lines: tuple[str, ...]
    ended: bool


def open_mlperf(url: str, *, baud: int, timeout_s: float = REPLY_TIMEOUT_S, recording: Recording | None = None) -> MlperfDevice:
    """The device on a port (`/dev/ttyACM0`, `socket://HOST:PORT`, or `replay:FILE`: a recorded session).

    Args:
        recording: where a log of the session goes.

    Raises:
        DeviceError: the port is absent, busy or forbidden; the device is silent or speaks something else.
        LinkError: the link dropped.
    """
    link = open_link(url, baud=baud, write_timeout_s=timeout_s, recording=recording)
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
        """What runs there, read twice.

        Raises:
            LinkError: the answer lacks one of the two, or is another each time.
        """
        seen: list[MlperfProfile] = []
        for _ in range(2 * ATTEMPTS):
            seen.append(self._ask("profile", _read_profile, "m-profile-[...] and m-model-[...]"))
            if seen[-2:-1] == seen[-1:]:
                return seen[-1]
        raise LinkError(f"{self._link.url}: the device's profile is another each time: {seen[-2:]}", hint=_CABLE_HINT)

    def timestamp(self) -> int:
        """The device's time in microseconds. Raises LinkError."""
        return self._ask("timestamp", _read_timestamp, "one m-lap-us-N, which firmware in energy mode does not send")

    def load(self, data: bytes) -> None:
        """Load the bytes of one sample, as the benchmark's data set holds them.

        Raises:
            DeviceError: the device refuses this many bytes.
            LinkError: it does not confirm the last one.
        """
        failure: DeviceError | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                self._resynchronize()
            failure = self._load_once(data)
            if failure is None:
                return
        raise failure or self._unexpected(f"db load {len(data)}", "m-load-done", ())

    def infer(self, runs: int, warmup: int) -> MlperfRun:
        """Time `runs` inferences after `warmup` others.

        Raises:
            DeviceError: the device refuses.
            LinkError: two laps and the results did not come.
        """

        def read(lines: Sequence[str]) -> MlperfRun | None:
            laps = [lap for lap in map(wire.parse_lap, lines) if lap is not None]
            results = _read_results(lines)
            whole = len(laps) == 2 and laps[0] <= laps[1] and results is not None
            return MlperfRun(runs, laps[1] - laps[0], results) if whole and results is not None else None

        return self._ask(f"infer {runs} {warmup}", read, "two rising m-lap-us-N and m-results-[...]", inference=True)

    def results(self) -> tuple[float, ...]:
        """Dequantized outputs of the last inference. Raises LinkError."""
        return self._ask("results", _read_results, "m-results-[...]")

    def measure(self, data: bytes, *, runs: int, warmup: int) -> Measurement:
        """Microseconds of single inferences, as precise as the device's laps, each between times that are in order.

        Raises:
            LinkError: a time is out of order, or longer than what passed here, again and again.
            DeviceError: as `load` and `infer`.
        """
        profile = self.profile()
        self.load(data)
        first = self._time_once()
        if warmup:
            self.infer(warmup, 0)
        samples = tuple(self._time_once() for _ in range(runs))
        environment = {"port": self._link.url, "vendor": self._name, "firmware": profile.firmware, "model": profile.model}
        conditions = Conditions(spread=spread_of(samples), drift=drift_of(samples))
        return Measurement(unit="us", samples=samples, first=first, environment=environment, conditions=conditions)

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- what takes several commands ----

    def _load_once(self, data: bytes) -> DeviceError | None:
        """What went wrong; None when the device confirmed the last byte."""
        command = f"db load {len(data)}"
        reply = self._command(command)
        if f"m-[Expecting {len(data)} bytes]" not in reply.lines:  # the reference firmware complains of too many without `e-`
            return self._complaint(command, reply.lines) or DeviceError(
                f"{self._link.url}: sent {command!r}; the device answered: {wire.shown(' | '.join(reply.lines[-3:])) or 'nothing'}",
                hint=_DATA_HINT,
            )
        for at in range(0, len(data), BYTES_PER_COMMAND):
            command = f"db {data[at : at + BYTES_PER_COMMAND].hex()}"
            reply = self._command(command)
            if not reply.ended:
                return self._silent(command, self._timeout_s)
            complaint = self._complaint(command, reply.lines)
            if complaint is not None:
                return complaint
        if "m-load-done" not in reply.lines:
            return self._unexpected(f"db ... ({len(data)} bytes)", "m-load-done", reply.lines)
        return None

    def _time_once(self) -> float:
        problem = ""
        for _ in range(ATTEMPTS):
            run = self._time_between_readings()
            problem = problem_of(run) or ""
            if not problem:
                return float(run.measured_us)
        raise LinkError(
            f"{self._link.url}: {problem}", hint="check the cable; if the device's clock is wrong or wraps, its times are no use"
        )

    def _time_between_readings(self) -> TimedRun:
        began = self._link.now()
        before = (self.timestamp(), self.timestamp())
        sent = self._link.now()
        measured = self.infer(1, 0).microseconds
        came_us = (self._link.now() - sent) * 1e6
        after = (self.timestamp(), self.timestamp())
        return TimedRun(before, measured, after, came_us=came_us, passed_us=(self._link.now() - began) * 1e6)

    # ---- commands ----

    def _greet(self) -> str:
        """End whatever half a command the device holds, and ask for its name until it answers."""
        deadline = self._link.now() + self._timeout_s
        while (remaining := deadline - self._link.now()) > 0:
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
        deadline = self._link.now() + timeout_s
        while (line := self._link.read_line(max(0.0, deadline - self._link.now()))) is not None:
            name = wire.parse_name(line)
            if name is not None:
                return name
        return None

    def _resynchronize(self) -> None:
        """End whatever half a command the device holds, and let its answers pass."""
        self._link.send(wire.END.encode("ascii"))
        self._let_pass()

    def _let_pass(self) -> None:
        """Read until it is quiet, so that no old m-ready ends a later command."""
        deadline = self._link.now() + self._timeout_s
        while self._link.now() < deadline:
            if self._link.read_line(min(QUIET_S, self._timeout_s)) is None:
                return

    def _ask(self, command: str, read: Callable[[Sequence[str]], _Value | None], expected: str, *, inference: bool = False) -> _Value:
        """Send a command until its answer is whole: `read` finds what is asked for in its lines.

        Raises:
            DeviceError: the device complains again and again.
            LinkError: no whole answer came.
        """
        failure: DeviceError | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                self._resynchronize()
            reply = self._command(command, inference=inference)
            failure = self._complaint(command, reply.lines)
            if failure is not None:
                continue
            value = read(reply.lines) if reply.ended else None
            if value is not None:
                return value
            failure = self._unexpected(command, expected, reply.lines) if reply.ended else self._silent(command, self._timeout_s)
        raise failure or self._unexpected(command, expected, ())

    def _command(self, command: str, *, inference: bool = False) -> _Reply:
        """Send one command and collect its lines up to m-ready.

        Args:
            inference: between the first line and the last laps there is no sign of life until the device is done.

        Raises:
            LinkError: the device restarted, or babbles.
        """
        self._link.send(wire.encode_command(command))
        lines: list[str] = []
        deadline = self._link.now() + self._timeout_s
        while (line := self._link.read_line(max(0.0, deadline - self._link.now()))) is not None:
            if line == wire.READY:
                return _Reply(tuple(lines), ended=True)
            if line == wire.BOOTED:
                raise LinkError(f"{self._link.url}: the device restarted in the middle of the work", hint="check its power; run again")
            if len(lines) == MAX_LINES:
                raise LinkError(
                    f"{self._link.url}: sent {wire.shown(command, 40)!r}; more than {MAX_LINES} lines came back", hint="reset it"
                )
            lines.append(line)
            if line.startswith(_AFTER_INFERENCE):
                deadline = self._link.now() + self._timeout_s
            elif inference and len(lines) == 1:
                deadline = self._link.now() + INFERENCE_TIMEOUT_S
        return _Reply(tuple(lines), ended=False)

    # ---- errors ----

    def _complaint(self, command: str, lines: Sequence[str]) -> DeviceError | None:
        complaint = next((c for c in map(wire.parse_error, lines) if c is not None), None)
        if complaint is None:
            return None
        return DeviceError(
            f"{self._link.url}: sent {wire.shown(command, 40)!r}; the device answered: {wire.shown(complaint)}", hint=_DATA_HINT
        )

    def _silent(self, command: str, timeout_s: float) -> LinkError:
        return LinkError(
            f"{self._link.url}: sent {wire.shown(command, 40)!r} {ATTEMPTS} times; expected m-ready within {timeout_s:g} s each; "
            f"it last sent: {self._link.last_seen or 'nothing'}",
            hint="reset the device, and check its power and cable",
        )

    def _unexpected(self, command: str, expected: str, lines: Sequence[str]) -> LinkError:
        came = wire.shown(" | ".join(lines[-5:])) or "only m-ready"
        return LinkError(
            f"{self._link.url}: sent {wire.shown(command, 40)!r} {ATTEMPTS} times; expected {expected}; it answered: {came}",
            hint=_CABLE_HINT,
        )


_CABLE_HINT = "check the cable and the baud rate"
_DATA_HINT = "is it the data of this device's model?"


def _read_profile(lines: Sequence[str]) -> MlperfProfile | None:
    firmware = next((v for v in map(wire.parse_firmware, lines) if v is not None), None)
    model = next((v for v in map(wire.parse_model, lines) if v is not None), None)
    return None if firmware is None or model is None else MlperfProfile(firmware, model)


def _read_timestamp(lines: Sequence[str]) -> int | None:
    laps = [lap for lap in map(wire.parse_lap, lines) if lap is not None]
    return laps[0] if len(laps) == 1 else None


def _read_results(lines: Sequence[str]) -> tuple[float, ...] | None:
    """None as well when they are damaged: then the command is repeated."""
    try:
        return next((values for values in map(wire.parse_results, lines) if values is not None), None)
    except LinkError:
        return None
