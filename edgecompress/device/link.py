"""A serial port as lines with deadlines: pyserial opens it (a device file, socket://HOST:PORT, any URL of pyserial), errors are ours."""

from __future__ import annotations

import errno
import re
import select
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgecompress.device.wire import LineReader, shown
from edgecompress.errors import DeviceError, LinkError

READ_BYTES = 4096
# Where a port cannot be waited for (Windows, RFC 2217), it is asked this often.
POLL_S = 0.002
# What error messages quote of the bytes that came last.
TAIL_BYTES = 80
_SOCKET = re.compile(r"socket://(\[[^\]]+\]|[^:/?#\[\]]+):\d{1,5}([/?].*)?$")


class Link:
    """An open port. Reads and writes raise LinkError when the other side is gone."""

    def __init__(self, port: Any, url: str) -> None:  # noqa: ANN401 (pyserial is untyped)
        self._port = port
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
        with _port_errors(self.url):
            self._port.write(data)

    def read_line(self, timeout_s: float) -> str | None:
        """The next line without its end, or None when none was complete in time.

        Raises:
            LinkError: the port is gone, or the line is endless.
        """
        deadline = time.monotonic() + timeout_s
        while not self._lines:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            self._take(self._read(remaining))
        return self._lines.popleft()

    @property
    def last_seen(self) -> str:
        """The end of what came, for an error message: printable, short; empty when nothing came."""
        return shown(bytes(self._tail).decode("ascii", "replace").replace("\r\n", " | ").strip(), TAIL_BYTES)

    def close(self) -> None:
        """Close the port; may be called twice."""
        try:
            self._port.close()
        except OSError:
            return  # it is gone already

    def _take(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self._tail += data
        del self._tail[:-TAIL_BYTES]
        self._lines.extend(self._reader.feed(data))

    def _read(self, timeout_s: float) -> bytes:
        """Bytes that are there, waiting up to `timeout_s` for the first."""
        with _port_errors(self.url):
            try:
                select.select([self._port.fileno()], [], [], timeout_s)
            except (OSError, AttributeError, ValueError):
                time.sleep(min(POLL_S, timeout_s))  # no file descriptor to wait for
            data: bytes = self._port.read(READ_BYTES)  # opened with timeout 0: returns at once
        return data


def open_link(url: str, *, baud: int, write_timeout_s: float) -> Link:
    """Open a port.

    Raises:
        DeviceError: it is absent, busy, forbidden, or no serial port.
    """
    import serial

    if url.startswith("socket://") and not _SOCKET.match(url):
        raise DeviceError(f"{url} names no host and port", hint="write socket://HOST:PORT, for example socket://localhost:4000")
    try:
        port = serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=write_timeout_s, exclusive=True)
    except ValueError as e:
        raise DeviceError(
            f"{url} at {baud} baud cannot be opened: {e}", hint="give a device like /dev/ttyACM0, or socket://HOST:PORT"
        ) from e
    except OSError as e:  # pyserial's SerialException is one
        raise _open_error(url, e) from e
    return Link(port, url)


def _open_error(url: str, error: OSError) -> DeviceError:
    if error.errno == errno.ENOENT:
        return DeviceError(f"there is no serial port {url}", hint=_known_ports())
    if error.errno in (errno.EBUSY, errno.EAGAIN):
        return DeviceError(f"the serial port {url} is in use by another program", hint="close that program (a terminal? a debugger?)")
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = "add yourself to the group that owns it (Debian: sudo adduser $USER dialout), then log in again"
        return DeviceError(f"you may not open the serial port {url}", hint=hint)
    return DeviceError(f"the serial port {url} cannot be opened: {error}", hint=_known_ports())


def _known_ports() -> str:
    from serial.tools import list_ports

    names = sorted(port.device for port in list_ports.comports())
    return f"ports on this machine: {', '.join(names)}" if names else "no serial port is connected to this machine: check the USB cable"


@contextmanager
def _port_errors(url: str) -> Iterator[None]:
    """Errors of a port that was open."""
    import serial

    try:
        yield
    except serial.SerialTimeoutException as e:
        raise LinkError(f"{url}: the device takes no bytes", hint="reset the device; check flow control") from e
    except OSError as e:
        raise LinkError(f"{url}: the link dropped: {e}", hint="check the cable, and whether the device restarted") from e
