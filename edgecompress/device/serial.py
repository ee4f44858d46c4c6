"""A device on a serial port that runs our firmware: checked frames, asked again when they were damaged.

Every request of the protocol may be repeated without harm, so a lost or damaged answer is repaired by asking again; a bulk load keeps
several frames on the way and goes back to the first one that the device misses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median_low
from types import TracebackType
from typing import Self

from edgecompress.conditions import Conditions, drift_of, spread_of
from edgecompress.device import wire
from edgecompress.device.interface import DeviceModel, check_inputs
from edgecompress.device.link import Link, open_link
from edgecompress.device.session_log import Recording
from edgecompress.device.ticks import TickUnit, microseconds
from edgecompress.errors import DeviceError, LinkError
from edgecompress.profile import Measurement

# A reply that carries no inference: the frame's time on the wire (0.03 s at 115200 baud, 0.4 s at 9600) and the device's work.
REPLY_TIMEOUT_S = 5.0
# An inference on a slow core. The device says "running" before it starts one; then there is no sign of life until it is done.
INFERENCE_TIMEOUT_S = 300.0
# How often a frame goes out before the link counts as broken.
ATTEMPTS = 3
# While a device starts, it is greeted this often, but at least GREETINGS times.
GREETING_S = 0.5
GREETINGS = 4
STEPS_PER_ANSWER = 16
# The board's clock is compared with ours over this time, by the quickest of so many readings at each end.
CLOCK_CHECK_S = 2.0
_CLOCK_READINGS = 5

_STATUS_NAMES = {-1: "EC_ERROR_ARENA", -2: "EC_ERROR_INDEX", -3: "EC_ERROR_INVOKE"}
_RESET_HINT = "reset the device, and check its power and cable"


def open_serial(
    url: str,
    *,
    baud: int,
    timeout_s: float = REPLY_TIMEOUT_S,
    clock_check_s: float = CLOCK_CHECK_S,
    recording: Recording | None = None,
) -> SerialDevice:
    """The device on a port (`/dev/ttyACM0`, `socket://HOST:PORT`, any URL of pyserial, or `replay:FILE`: a recorded session).

    Args:
        recording: where a log of the session goes.
        timeout_s: for the device to start, and for each reply that carries no inference.
        clock_check_s: over which `measure` compares the device's clock with this computer's; 0 leaves that out.

    Raises:
        DeviceError: the port is absent, busy or forbidden; the device is silent, speaks something else, or its model does not start.
        LinkError: the link dropped, or its frames are damaged again and again.
    """
    link = open_link(url, baud=baud, write_timeout_s=timeout_s, recording=recording)
    try:
        return SerialDevice(link, timeout_s=timeout_s, clock_check_s=clock_check_s, environment={"port": url, "baud": str(baud)})
    except BaseException:
        link.close()
        raise


class SerialDevice:
    """Our firmware behind a link. It measures in microseconds unless it is told what its ticks are (`unit`)."""

    def __init__(
        self,
        link: Link,
        *,
        timeout_s: float = REPLY_TIMEOUT_S,
        clock_check_s: float = 0.0,
        unit: TickUnit | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Greets the device. Raises as `open_serial`."""
        self._link = link
        self._timeout_s = timeout_s
        self._clock_check_s = clock_check_s
        self._sequence = 0
        self._unfinished = 0  # commands that were sent and whose m-ready has not come
        self._held: tuple[bytes, ...] = ()
        self._wire_info = self._greet()
        self._clock = wire.parse_clock(self._ask("clock"))
        self._unit = unit or microseconds(self._clock.ticks_hz)
        self._counts_emulated_time = unit is None and self._clock.clock_hz is None
        self._environment = {"device": self._clock.target, **(environment or {})}
        self._model = self._read_model()

    @property
    def clock(self) -> wire.Clock:
        """The device's target name, counter and core clock."""
        return self._clock

    def info(self) -> DeviceModel:
        """What the device says it runs; tensors have their bytes, types and scales, but no names or shapes."""
        return self._model

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """One inference: raw bytes of each input tensor in, of each output tensor out. Raises as `Device.run`."""
        self._load_all(inputs)
        self._run_once()
        return [self._read_output(index, spec.bytes) for index, spec in enumerate(self._model.outputs)]

    def measure(self, inputs: Sequence[bytes], *, runs: int, warmup: int) -> Measurement:
        """Time `runs` inferences after a first one and `warmup` more. Raises as `Device.measure`."""
        if self._counts_emulated_time:
            raise DeviceError(
                f"{self._link.url}: the device ({self._clock.target}) has no clock: it is an emulator, whose time is no latency",
                hint="name its target instead of the port, and its instructions are counted",
            )
        self._load_all(inputs)
        overhead, step_overhead = wire.parse_numbers(self._ask("overhead"), 2)
        first = self._run_once()
        for _ in range(warmup):
            self._run_once()
        ticks = [self._run_once() for _ in range(runs)]
        steps = self._time_steps()
        memory = self._probe_memory()
        clock_hz = self._clock.clock_hz
        samples = tuple(self._unit.net(t, overhead) for t in ticks)
        return Measurement(
            unit=self._unit.unit,
            samples=samples,
            first=self._unit.net(first, overhead),
            ops=tuple(self._unit.net(t, step_overhead) for t in steps),
            stack_bytes=memory.stack,
            arena_touched_bytes=memory.arena_touched,
            cycles=median_low(ticks) - overhead if clock_hz == self._clock.ticks_hz else None,
            clock_hz=clock_hz,
            environment=dict(self._environment),
            conditions=self._conditions(samples) if self._unit.unit == "us" else None,
        )

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- requests ----

    def _read_model(self) -> DeviceModel:
        info = self._wire_info
        if info.status != 0:
            raise DeviceError(
                f"{self._link.url}: the model {info.name} did not start on the device: {_status_name(info.status)}",
                hint="build the firmware again, and flash it",
            )
        inputs = tuple(wire.parse_tensor(self._ask(f"input {index}")) for index in range(info.inputs))
        outputs = tuple(wire.parse_tensor(self._ask(f"output {index}")) for index in range(info.outputs))
        return DeviceModel(info.name, info.sha256, info.engine, info.arena_bytes, inputs, outputs, info.steps)

    def _run_once(self) -> int:
        (ticks,) = wire.parse_numbers(self._ask("run 0"), 1)
        return ticks

    def _time_steps(self) -> list[int]:
        ticks: list[int] = []
        while len(ticks) < self._model.step_count:
            count = min(STEPS_PER_ANSWER, self._model.step_count - len(ticks))
            ticks += wire.parse_numbers(self._ask(f"steps {len(ticks)}"), count)
        return ticks

    def _probe_memory(self) -> wire.Memory:
        return wire.parse_memory(self._ask("memory"))

    def _read_output(self, index: int, count: int) -> bytes:
        chunk = self._wire_info.chunk_bytes
        parts = []
        for offset in range(0, count, chunk):
            size = min(chunk, count - offset)
            parts.append(wire.parse_data(self._ask(f"read {index} {offset} {size}"), size))
        return b"".join(parts)

    # ---- the clock ----

    def _conditions(self, samples: Sequence[float]) -> Conditions:
        over_host, within = self._compare_clocks() if self._clock_check_s > 0 else (None, None)
        return Conditions(
            spread=spread_of(samples),
            drift=drift_of(samples),
            clock_hz=self._clock.clock_hz,
            clock_over_host=over_host,
            clock_over_host_within=within,
        )

    def _compare_clocks(self) -> tuple[float, float]:
        """How fast the device's counter runs against this computer's clock, and how exactly that is known."""
        first_s, first_ticks, first_trip_s = self._read_both_clocks()
        self._link.sleep(self._clock_check_s)
        last_s, last_ticks, last_trip_s = self._read_both_clocks()
        passed_s = last_s - first_s
        return (last_ticks - first_ticks) / self._clock.ticks_hz / passed_s, (first_trip_s + last_trip_s) / 2 / passed_s

    def _read_both_clocks(self) -> tuple[float, int, float]:
        """This computer's seconds, the device's ticks, and the seconds of the round trip: the quickest of some, which is the most exact.

        Raises:
            LinkError: the device's counter went back.
        """
        readings = []
        for _ in range(_CLOCK_READINGS):
            before = self._link.now()
            (ticks,) = wire.parse_numbers(self._ask("now"), 1)
            after = self._link.now()
            readings.append(((before + after) / 2, ticks, after - before))
        if any(later[1] < earlier[1] for earlier, later in pairwise(readings)):
            raise LinkError(f"{self._link.url}: the device's counter went back: {[ticks for _, ticks, _ in readings]}", hint=_RESET_HINT)
        return min(readings, key=lambda reading: reading[2])

    # ---- inputs ----

    def _load_all(self, inputs: Sequence[bytes]) -> None:
        """Bring the inputs to the device, unless it holds these already: it keeps copies."""
        check_inputs(inputs, self._model.inputs)
        if self._held == tuple(inputs):
            return
        self._held = ()
        for index, data in enumerate(inputs):
            self._load(index, data)
        self._held = tuple(inputs)

    def _load(self, index: int, data: bytes) -> None:
        self._ask(f"begin {index}")
        chunk = self._wire_info.chunk_bytes
        acknowledged = 0
        stalls = 0
        while acknowledged < len(data):
            reached = self._send_window(index, data, acknowledged, chunk)
            stalls = stalls + 1 if reached == acknowledged else 0
            if stalls == ATTEMPTS:
                raise LinkError(
                    f"{self._link.url}: loading input {index} stopped at byte {acknowledged} of {len(data)}: {ATTEMPTS} times the device "
                    f"did not take what was sent; it last sent: {self._link.last_seen or 'nothing'}",
                    hint=_RESET_HINT,
                )
            acknowledged = reached
        self._ask(f"end {index} {wire.crc32(data):08x}")

    def _send_window(self, index: int, data: bytes, start: int, chunk: int) -> int:
        """Send chunks from `start` on, `window` of them on the way at a time, until the end of the data or the first failure.

        Returns:
            The offset up to which the device has everything.
        """
        offsets = iter(range(start, len(data), chunk))
        on_the_way: deque[int] = deque()
        acknowledged = start
        while True:
            for offset in _take(offsets, self._wire_info.window - len(on_the_way)):
                sequence = self._next_sequence()
                self._send(sequence, wire.load_body(index, offset, data[offset : offset + chunk]))
                on_the_way.append(sequence)
            if not on_the_way:
                self._unfinished = 1
                return acknowledged
            answer = self._answer_to(on_the_way[0], self._timeout_s, alone=False)
            if answer is None or wire.refusal(answer.body) is not None:
                self._discard(len(on_the_way))
                return acknowledged
            on_the_way.popleft()
            (acknowledged,) = wire.parse_numbers(answer.body, 1, limit=len(data))

    def _discard(self, frames: int) -> None:
        """Let the answers to frames on the way pass, so that they do not queue up behind the next ones."""
        deadline = self._link.now() + GREETING_S
        for _ in range(2 * frames):
            if self._link.read_line(max(0.0, deadline - self._link.now())) is None:
                return

    # ---- frames ----

    def _greet(self) -> wire.Info:
        """Find our firmware: end whatever half a command it holds, and ask for `info` until it answers."""
        deadline = self._link.now() + self._timeout_s
        patience = min(GREETING_S, self._timeout_s / GREETINGS)
        sequence = self._next_sequence()  # one for all, so that a late answer counts
        rounds = 0
        while self._link.now() < deadline:
            self._link.send(wire.END.encode("ascii"))
            self._unfinished += 1
            self._send(sequence, "info")
            answer = self._answer_to(sequence, patience, alone=False, greeting=True)
            rounds += 1
            if answer is not None and wire.refusal(answer.body) is None:
                # Commands that someone else sent before were finished among ours, so they were counted too. The device works in
                # order: what may still be unfinished is all of ours but the first end of a command.
                self._unfinished = 2 * rounds - 1
                return wire.parse_info(answer.body)
        where = f"{self._link.url}: sent 'ec info' for {self._timeout_s:g} s;"
        if self._link.received_bytes == 0:
            raise DeviceError(f"{where} nothing came back", hint="is the firmware flashed and the baud rate right? Press reset")
        raise DeviceError(
            f"{where} something else than edgecompress' firmware answers: {self._link.last_seen}",
            hint="is this the right port and baud rate? Flash firmware that edgecompress build wrote",
        )

    def _ask(self, body: str) -> str:
        """Send a request until its answer arrives whole; the answer's body, which is no refusal."""
        sequence = self._next_sequence()
        for _ in range(ATTEMPTS):
            self._send(sequence, body)
            answer = self._answer_to(sequence, self._timeout_s, alone=True)
            reason = "" if answer is None else wire.refusal(answer.body)
            if answer is not None and reason is None:
                self._unfinished = 1
                return answer.body
            if reason and not reason.startswith("frame"):
                raise self._refused(body, reason)
        raise LinkError(
            f"{self._link.url}: sent {wire.shown(body, 40)!r} {ATTEMPTS} times; expected a whole answer within {self._timeout_s:g} s each; "
            f"it last sent: {self._link.last_seen or 'nothing'}",
            hint=_RESET_HINT,
        )

    def _refused(self, body: str, reason: str) -> DeviceError:
        kind, _, value = reason.partition(" ")
        if kind == "model" and value.removeprefix("-").isdecimal() and len(value) < 12:
            return DeviceError(f"{self._link.url}: the model failed on the device: {_status_name(int(value))}", hint=_RESET_HINT)
        return DeviceError(
            f"{self._link.url}: sent {wire.shown(body, 40)!r}; the device refused: {wire.shown(reason)}",
            hint="the device may have restarted: try again",
        )

    def _send(self, sequence: int, body: str) -> None:
        self._link.send(wire.encode_frame(sequence, body))
        self._unfinished += 1

    def _next_sequence(self) -> int:
        # 255 is what the device answers with when it could not read the number.
        self._sequence = (self._sequence + 1) % 255
        return self._sequence

    def _answer_to(self, sequence: int, timeout_s: float, *, alone: bool, greeting: bool = False) -> wire.Answer | None:
        """The answer to a frame, or None: late, lost, damaged, or the device says that the frame arrived damaged.

        Args:
            alone: no other frame is on the way, so that an m-ready too many means that the answer was lost.

        Raises:
            DeviceError: the device stopped in a fault, or (when it is greeted) speaks another dialect.
            LinkError: the device restarted.
        """
        deadline = self._link.now() + timeout_s
        while (line := self._link.read_line(max(0.0, deadline - self._link.now()))) is not None:
            if wire.is_answer(line):
                try:
                    answer = wire.decode_answer(line)
                except LinkError:
                    return None
                if answer.sequence == sequence and answer.body == wire.RUNNING:
                    deadline = self._link.now() + INFERENCE_TIMEOUT_S
                elif answer.sequence == sequence:
                    return answer
                elif (wire.refusal(answer.body) or "").startswith("frame"):
                    return None
            elif line == wire.READY:
                self._unfinished = max(0, self._unfinished - 1)
                if alone and self._unfinished == 0:
                    return None
            elif line == wire.BOOTED:
                if not greeting:
                    raise LinkError(f"{self._link.url}: the device restarted in the middle of the work", hint="check its power; run again")
                return None
            else:
                self._check_complaint(line, greeting)
        return None

    def _check_complaint(self, line: str, greeting: bool) -> None:
        complaint = wire.parse_error(line)
        if complaint is None:
            return
        if complaint.startswith("Fault "):
            raise DeviceError(
                f"{self._link.url}: the device stopped in a fault: exception {wire.shown(complaint.removeprefix('Fault '))}",
                hint="look its pc up in firmware.map; then reset the device",
            )
        if greeting and complaint.startswith("Unknown command: ec"):
            raise DeviceError(
                f"{self._link.url}: the device speaks MLPerf Tiny's protocol, but its firmware is not edgecompress'",
                hint="flash firmware that edgecompress build wrote",
            )


def _take(offsets: Iterator[int], count: int) -> Iterator[int]:
    """Up to `count` further offsets."""
    for _ in range(count):
        offset = next(offsets, None)
        if offset is None:
            return
        yield offset


def _status_name(status: int) -> str:
    return f"{_STATUS_NAMES.get(status, 'status')} ({status})"
