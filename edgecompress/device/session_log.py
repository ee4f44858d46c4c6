r"""A session with a device as a log, and a log as a device.

One JSON object a line, flushed line by line, so that a log which was cut short is a valid beginning. Bytes are characters 0 to 255:

    {"session": 1, "port": "/dev/ttyACM0", "baud": 115200, "started": "2026-03-01T10:00:00+00:00", "command": "edgecompress measure ..."}
    {"t": 0.000112, "sent": "%name%"}                        seconds since the opening; before the bytes were written
    {"t": 0.004873, "came": "m-name-dut-[edgecompress]\r\n"}  when they had been read
    {"t": 0.104901, "waited": true}                          when the last read ended that waited in vain
    {"t": 0.9, "dropped": "...", "hint": "..."}              the link broke, with the error's words
    {"t": 1.2, "end": true}                                  the session was closed; without this line the log was cut short

Playing it back expects exactly the bytes that were sent, in order, and gives those that came, with the recorded times as the clock. Whether
a read waits in vain is told by the log, never worked out from times: a busy computer may read in time what it notes late.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import IO

from edgecompress.device.stream import Stream
from edgecompress.device.wire import shown
from edgecompress.errors import DataError, DeviceError, LinkError, OutputError

REPLAY = "replay:"
"""Begins a port that is a log."""
LOG_VERSION = 1
MAX_LOG_BYTES = 64 << 20
"""Of one log; a load of the largest MLPerf Tiny sample takes 0.3 MB. Recording ends there, the session goes on."""
_KEPT_BYTES = 4096
_LEAST_WAIT_S = 1e-6
_MOST_SECONDS = 1e9
_RECORD_AGAIN = "record the session again with --record"


class EventKind(Enum):
    """What a line of a log tells; its key in the JSON object."""

    SENT = "sent"
    CAME = "came"
    WAITED = "waited"
    DROPPED = "dropped"
    END = "end"
    FULL = "full"


@dataclass(frozen=True)
class Recording:
    """Where a log goes, and the command that the session is part of."""

    path: Path
    command: str = ""


@dataclass(frozen=True)
class Event:
    """One line of a log: its number in the file, seconds since the opening, and the bytes (or the words of an error)."""

    line: int
    seconds: float
    kind: EventKind
    data: bytes = b""
    words: str = ""
    hint: str = ""


@dataclass(frozen=True)
class SessionLog:
    """A log that was read. `command` is the command that was recorded, empty where that is not known."""

    path: Path
    command: str
    events: tuple[Event, ...]


# ---- recording ----


def recorded(stream: Stream, recording: Recording, *, url: str, baud: int) -> Stream:
    """The same stream, with a log of it in a file.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        recording.path.parent.mkdir(parents=True, exist_ok=True)
        file = recording.path.open("w", encoding="ascii", newline="\n")
    except OSError as e:
        raise _no_output(recording.path, e) from e
    return _RecordedStream(stream, recording, file, url=url, baud=baud)


class _RecordedStream:
    def __init__(self, stream: Stream, recording: Recording, file: IO[str], *, url: str, baud: int) -> None:
        self._stream = stream
        self._path = recording.path
        self._file: IO[str] | None = file
        self._began = stream.now()
        self._bytes = 0
        self._came = bytearray()  # up to the end of a line, so that a log reads like the session
        self._waited: float | None = None  # when the last read ended that waited in vain
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self._put({"session": LOG_VERSION, "port": url, "baud": baud, "started": started, "command": recording.command})

    def write(self, data: bytes) -> None:
        self._flush()
        self._log(EventKind.SENT, data.decode("latin-1"))
        try:
            self._stream.write(data)
        except LinkError as e:
            self._drop(e)
            raise

    def read(self, timeout_s: float) -> bytes:
        try:
            data = self._stream.read(timeout_s)
        except LinkError as e:
            self._flush()
            self._drop(e)
            raise
        self._came += data
        if not data or b"\n" in data or len(self._came) > _KEPT_BYTES:
            self._flush()
        if not data:
            self._waited = self._stream.now()
        return data

    def now(self) -> float:
        return self._stream.now()

    def sleep(self, seconds: float) -> None:
        self._stream.sleep(seconds)

    def close(self) -> None:
        self._stream.close()
        if self._file is None:
            return
        self._flush()
        self._log(EventKind.END, True)
        self._end()

    def _flush(self) -> None:
        if self._came:
            self._log(EventKind.CAME, self._came.decode("latin-1"))
            self._came.clear()

    def _drop(self, error: LinkError) -> None:
        self._log(EventKind.DROPPED, error.message, hint=error.hint)

    def _log(self, kind: EventKind, value: str | bool, **more: str) -> None:
        if self._waited is not None:
            self._put({"t": self._seconds(self._waited), EventKind.WAITED.value: True})
            self._waited = None
        seconds = self._seconds(self._stream.now())
        if self._bytes > MAX_LOG_BYTES - 2 * _KEPT_BYTES * len(r"\u00ff"):
            self._put({"t": seconds, EventKind.FULL.value: self._bytes})
            self._end()
        self._put({"t": seconds, kind.value: value, **more})

    def _seconds(self, now: float) -> float:
        return round(now - self._began, 6)

    def _put(self, fields: Mapping[str, object]) -> None:
        """Raises OutputError: the disk is full, or the file went away."""
        if self._file is None:
            return
        line = json.dumps(fields) + "\n"
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as e:
            self._end()
            raise _no_output(self._path, e) from e
        self._bytes += len(line)

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could be written was flushed
                file.close()


def _no_output(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: the session log cannot be written: {error.strerror or error}", hint="name another file with --record")


# ---- playing back ----


def replayed(path: Path, recording: Recording | None = None) -> Stream:
    """A log as a stream.

    Raises:
        DataError: the log is missing or damaged.
        OutputError: `recording` would replace it.
    """
    if path == Path():
        raise DataError(f"{REPLAY} names no file", hint=f"write {REPLAY}FILE, a file that --record wrote")
    log = read_session(path)
    if recording is not None and recording.path.exists() and recording.path.samefile(path):
        raise OutputError(f"{path} is the session that is played back, which the new log would replace", hint="name another file")
    return ReplayedStream(log)


class ReplayedStream:
    """A device that says what a log says, when it is sent what the log says. Waits cost no time."""

    def __init__(self, log: SessionLog) -> None:
        self._log = log
        self._next = 0
        self._now = 0.0
        self._passed_by = bytearray()  # came before bytes that were sent earlier this time

    def write(self, data: bytes) -> None:
        """Raises DeviceError: the log has other bytes here, or ends."""
        while (event := self._event()) is not None and event.kind in (EventKind.CAME, EventKind.WAITED):
            self._passed_by += event.data
            self._next += 1
        if event is None or event.kind is EventKind.FULL:
            raise self._cut_short()
        if event.kind is EventKind.DROPPED:
            self._drop(event)
        if event.kind is not EventKind.SENT:
            raise self._diverged(event.line, f"the session ends; {_quoted(data)} is sent")
        if event.data != data:
            at = next((i for i, (a, b) in enumerate(zip(event.data, data, strict=False)) if a != b), min(len(event.data), len(data)))
            start = max(0, at - 12)
            more = f" (from character {start + 1} on)" if start else ""
            raise self._diverged(event.line, f"{_quoted(event.data[start:])} was sent; now {_quoted(data[start:])} is sent{more}")
        self._now = max(self._now, event.seconds)
        self._next += 1

    def read(self, timeout_s: float) -> bytes:
        """Raises DeviceError: the log was cut short here; LinkError: the link broke when it was recorded."""
        if self._passed_by:
            data = bytes(self._passed_by)
            self._passed_by.clear()
            return data
        event = self._event()
        if event is None or event.kind is EventKind.FULL:
            raise self._cut_short()
        if event.kind is EventKind.DROPPED:
            self._drop(event)
        if event.kind not in (EventKind.CAME, EventKind.WAITED):
            self._now += max(timeout_s, _LEAST_WAIT_S)
            return b""
        self._now = max(self._now, event.seconds)
        self._next += 1
        return event.data

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds

    def close(self) -> None:
        """There is nothing to close."""

    def _event(self) -> Event | None:
        return self._log.events[self._next] if self._next < len(self._log.events) else None

    def _drop(self, event: Event) -> None:
        raise LinkError(f"{self._log.path}, line {event.line}: {event.words}", hint=event.hint)

    def _cut_short(self) -> DeviceError:
        last = self._log.events[-1].line if self._log.events else 1
        return DeviceError(f"{self._log.path}: the session goes on, but its log was cut short after line {last}", hint=_RECORD_AGAIN)

    def _diverged(self, line: int, what: str) -> DeviceError:
        command = f": {self._log.command}" if self._log.command else ""
        return DeviceError(
            f"{self._log.path}, line {line}: when this was recorded, {what}",
            hint=f"a log answers the command that it was recorded with{command}, of the same version",
        )


def _quoted(data: bytes) -> str:
    return repr(shown(data.decode("latin-1"), 60))


# ---- reading ----


def read_session(path: Path) -> SessionLog:
    """Read a log. A last line without its end, which a killed process leaves, does not count.

    Raises:
        DataError: the file is missing, too large, or a line of it is damaged; with its number.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_LOG_BYTES + 1)
    except OSError as e:
        raise DataError(f"{path}: the session log cannot be read: {e.strerror}", hint="replay: takes a file that --record wrote") from e
    if len(text) > MAX_LOG_BYTES:
        raise DataError(f"{path}: has more than {MAX_LOG_BYTES >> 20} MB; a session log has less", hint="is it the right file?")
    lines = text.split(b"\n")[:-1]
    command = _read_header(path, lines)
    events = tuple(_read_event(path, number, line) for number, line in enumerate(lines[1:], start=2))
    for earlier, later in pairwise(events):
        if later.seconds < earlier.seconds:
            raise _damaged(path, later.line, f"its time is {later.seconds} s, before the line above")
        if earlier.kind in (EventKind.END, EventKind.FULL):
            raise _damaged(path, later.line, "the session had ended on the line above")
    return SessionLog(path, command, events)


def _read_header(path: Path, lines: Sequence[bytes]) -> str:
    """The recorded command."""
    try:
        header = _read_object(path, 1, lines[0]) if lines else {}
    except DataError:
        header = {}
    version = header.get("session")
    if type(version) is not int:
        raise DataError(f"{path}: is no session log: its first line does not say so", hint="replay: takes a file that --record wrote")
    if version != LOG_VERSION:
        raise DataError(f"{path}: is a session log of version {version}; this program reads {LOG_VERSION}", hint="upgrade edgecompress")
    command = header.get("command", "")
    return shown(command, 300) if isinstance(command, str) else ""


def _read_event(path: Path, number: int, line: bytes) -> Event:
    fields = _read_object(path, number, line)
    seconds = fields.get("t")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MOST_SECONDS:
        raise _damaged(path, number, f"expected seconds as t; {shown(repr(seconds))} came")
    kinds = [kind for kind in EventKind if kind.value in fields]
    if len(kinds) != 1:
        raise _damaged(path, number, f"expected one of {', '.join(kind.value for kind in EventKind)}")
    kind, value, hint = kinds[0], fields[kinds[0].value], fields.get("hint", "")
    if kind in (EventKind.WAITED, EventKind.END, EventKind.FULL):
        return Event(number, float(seconds), kind)
    if not isinstance(value, str) or not isinstance(hint, str):
        raise _damaged(path, number, f"expected text as {kind.value}")
    if kind is EventKind.DROPPED:
        return Event(number, float(seconds), kind, words=shown(value, 300), hint=shown(hint, 300))
    try:
        return Event(number, float(seconds), kind, data=value.encode("latin-1"))
    except UnicodeEncodeError as e:
        raise _damaged(path, number, f"{kind.value} holds a character that is no byte") from e


def _read_object(path: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        fields = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError) as e:
        raise _damaged(path, number, "it is no JSON") from e
    if not isinstance(fields, dict):
        raise _damaged(path, number, "it is no JSON object")
    return fields


def _damaged(path: Path, number: int, what: str) -> DataError:
    return DataError(f"{path}, line {number}: the session log is damaged: {what}", hint=_RECORD_AGAIN)
