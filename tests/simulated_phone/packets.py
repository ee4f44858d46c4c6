"""The transport: packets of a 24-byte header and data, and streams over them.

    command | arg0 | arg1 | length | checksum | command ^ 0xffffffff      (six little-endian uint32)

From version 0x01000001 on, checksums are not looked at. A stream has a number on either side; every WRTE waits for its OKAY.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from dataclasses import dataclass

VERSION = 0x01000001
MAX_DATA = 256 * 1024
_HEADER = struct.Struct("<6I")
# A stream's reader gives up when adb has said nothing for so long.
_IDLE_S = 60.0


class LinkClosedError(Exception):
    """The connection, or one stream of it, has ended."""


@dataclass(frozen=True)
class Packet:
    """One message. `command` is four letters."""

    command: bytes
    arg0: int
    arg1: int
    data: bytes = b""


def read_packet(link: socket.socket) -> Packet:
    """The next packet; LinkClosedError when the connection ends."""
    command, arg0, arg1, length, _, magic = _HEADER.unpack(read_exactly(link, _HEADER.size))
    if magic != command ^ 0xFFFFFFFF or length > MAX_DATA * 8:
        raise LinkClosedError("not a packet of adb")
    return Packet(struct.pack("<I", command), arg0, arg1, read_exactly(link, length))


def write_packet(link: socket.socket, packet: Packet) -> None:
    """Send a packet; LinkClosedError when the connection ends."""
    (command,) = struct.unpack("<I", packet.command)
    checksum = sum(packet.data) & 0xFFFFFFFF
    header = _HEADER.pack(command, packet.arg0, packet.arg1, len(packet.data), checksum, command ^ 0xFFFFFFFF)
    try:
        link.sendall(header + packet.data)
    except OSError as e:
        raise LinkClosedError("the connection has ended") from e


def read_exactly(link: socket.socket, size: int) -> bytes:
    """So many bytes of a socket."""
    data = bytearray()
    while len(data) < size:
        try:
            chunk = link.recv(size - len(data))
        except OSError as e:
            raise LinkClosedError("the connection has ended") from e
        if not chunk:
            raise LinkClosedError("the connection has ended")
        data += chunk
    return bytes(data)


class Stream:
    """One service's two-way channel. `link_lock` guards the socket, which all streams share."""

    def __init__(self, link: socket.socket, link_lock: threading.Lock, local: int, remote: int) -> None:
        self.local, self.remote = local, remote
        self._link, self._link_lock = link, link_lock
        self._incoming: queue.Queue[bytes | None] = queue.Queue()
        self._buffer = bytearray()
        self._ready = threading.Semaphore(0)
        self.closed = threading.Event()

    def send(self, command: bytes, data: bytes = b"") -> None:
        with self._link_lock:
            write_packet(self._link, Packet(command, self.local, self.remote, data))

    def write(self, data: bytes) -> None:
        """Give bytes to adb, and wait until it has taken them."""
        for at in range(0, len(data), MAX_DATA):
            if self.closed.is_set():
                raise LinkClosedError("the stream was closed")
            self.send(b"WRTE", data[at : at + MAX_DATA])
            self._ready.acquire()

    def read(self, size: int) -> bytes:
        """So many bytes from adb, which sends no more before these are taken."""
        while len(self._buffer) < size:
            try:
                data = self._incoming.get(timeout=_IDLE_S)
            except queue.Empty:
                data = None
            if data is None:
                raise LinkClosedError("the stream was closed")
            self._buffer += data
            if not self.closed.is_set():
                self.send(b"OKAY")
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def take(self, packet: Packet) -> None:
        """A packet of adb for this stream, from the connection's thread."""
        if packet.command == b"OKAY":
            self._ready.release()
        elif packet.command == b"WRTE":
            self._incoming.put(packet.data)
        elif packet.command == b"CLSE":
            self.end()

    def end(self) -> None:
        """Wake whoever waits: nothing more comes."""
        self.closed.set()
        self._incoming.put(None)
        self._ready.release()

    def close(self) -> None:
        """Tell adb that the service has ended."""
        if not self.closed.is_set():
            self.closed.set()
            self.send(b"CLSE")
