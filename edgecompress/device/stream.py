"""Bytes to and from a device, and the time at which they pass: a port that pyserial opens, or anything that stands in for one.

Time comes from the stream, so that a recorded session can be played back with the times that it had (`session_log`).
"""

from __future__ import annotations

import errno
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from edgecompress.errors import DeviceError, LinkError

READ_BYTES = 4096
# Where a port cannot be waited for (Windows, RFC 2217), it is asked this often.
POLL_S = 0.002
_SOCKET = re.compile(r"socket://(\[[^\]]+\]|[^:/?#\[\]]+):\d{1,5}([/?].*)?$")


class Stream(Protocol):
    """An open way to a device. Reads and writes raise LinkError when the other side is gone."""

    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """Bytes that are there, waiting up to `timeout_s` for the first; none when none came."""
        ...

    def now(self) -> float:
        """Seconds of a clock that only rises."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def close(self) -> None:
        """May be called twice."""
        ...


class SerialStream:
    """A port of pyserial."""

    def __init__(self, port: Any, url: str) -> None:  # noqa: ANN401 (pyserial is untyped)
        """`port` is open, with timeout 0."""
        self._port = port
        self._url = url

    def write(self, data: bytes) -> None:
        """Raises LinkError: the port is gone, or does not take bytes within its write timeout."""
        with _port_errors(self._url):
            self._port.write(data)

    def read(self, timeout_s: float) -> bytes:
        """Raises LinkError: the port is gone."""
        with _port_errors(self._url):
            try:
                select.select([self._port.fileno()], [], [], timeout_s)
            except (OSError, AttributeError, ValueError):
                time.sleep(min(POLL_S, timeout_s))  # no file descriptor to wait for
            data: bytes = self._port.read(READ_BYTES)  # opened with timeout 0: returns at once
        return data

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        try:
            self._port.close()
        except OSError:
            return  # it is gone already


def open_stream(url: str, *, baud: int, write_timeout_s: float) -> SerialStream:
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
    return SerialStream(port, url)


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
