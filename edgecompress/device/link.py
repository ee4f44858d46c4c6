"""A way to a device as lines with deadlines."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from edgecompress.device.session_log import REPLAY, Recording, recorded, replayed
from edgecompress.device.stream import Stream, open_stream
from edgecompress.device.wire import LineReader, shown

# What error messages quote of the bytes that came last.
TAIL_BYTES = 80


class Link:
    """An open stream. Reads and writes raise LinkError when the other side is gone."""

    def __init__(self, stream: Stream, url: str) -> None:
        self._stream = stream
        self._reader = LineReader()
        self._lines: deque[str] = deque()
        self._tail = bytearray()
        self.url = url
        self.received_bytes = 0

    def send(self, data: bytes) -> None:
        """Write all of `data`.

        Raises:
            LinkError: the port is gone, or does not take bytes within its write timeout.
        """
        self._stream.write(data)

    def read_line(self, timeout_s: float) -> str | None:
        """The next line without its end, or None when none was complete in time.

        Raises:
            LinkError: the port is gone, or the line is endless.
        """
        deadline = self.now() + timeout_s
        while not self._lines:
            remaining = deadline - self.now()
            if remaining <= 0:
                return None
            self._take(self._stream.read(remaining))
        return self._lines.popleft()

    def now(self) -> float:
        """Seconds of a clock that only rises: this computer's, or that of the session that is played back."""
        return self._stream.now()

    def sleep(self, seconds: float) -> None:
        """Let time pass on that clock."""
        self._stream.sleep(seconds)

    @property
    def last_seen(self) -> str:
        """The end of what came, for an error message: printable, short; empty when nothing came."""
        return shown(bytes(self._tail).decode("ascii", "replace").replace("\r\n", " | ").strip(), TAIL_BYTES)

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._stream.close()

    def _take(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self._tail += data
        del self._tail[:-TAIL_BYTES]
        self._lines.extend(self._reader.feed(data))


def open_link(url: str, *, baud: int, write_timeout_s: float, recording: Recording | None = None) -> Link:
    """Open a port (`/dev/ttyACM0`, `socket://HOST:PORT`, any URL of pyserial), or a recorded session (`replay:FILE`).

    Args:
        recording: where a log of the session goes.

    Raises:
        DataError: the recorded session is missing or damaged.
        DeviceError: the port is absent, busy, forbidden, or no serial port.
        OutputError: the log cannot be written.
    """
    stream: Stream
    if url.startswith(REPLAY):
        stream = replayed(Path(url.removeprefix(REPLAY)), recording)
    else:
        stream = open_stream(url, baud=baud, write_timeout_s=write_timeout_s)
    if recording is not None:
        try:
            stream = recorded(stream, recording, url=url, baud=baud)
        except BaseException:
            stream.close()
            raise
    return Link(stream, url)
