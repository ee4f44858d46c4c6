"""The phone's end of adb: a TCP port, the greeting, and the service that each stream asks for.

adb                          phone
 | CNXN host::features=...    |
 | <--------- CNXN device::ro.product.name=...;features=...
 | OPEN local, 0, "shell:ls"  |
 | <--------- OKAY phone's number, local
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from simulated_phone.faults import AT_ANY, Fault, FaultKind, Faults
from simulated_phone.packets import MAX_DATA, VERSION, LinkClosedError, Packet, Stream, read_packet, write_packet
from simulated_phone.sandbox import PROPERTIES, Sandbox
from simulated_phone.shell import serve_shell
from simulated_phone.sync import serve_sync

FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir")
NEWER_FEATURES = (*FEATURES, "sendrecv_v2")
_AUTH_TOKEN = 1


class SimulatedPhone:
    """A context manager. `serial` is where adb connects; `faults` may be set at any time; `services` is
    what adb asked for, `ignored` how many greetings were left unanswered.

    Args:
        root: an empty folder for its storage.
        features: what it tells adb that it can.
        properties: what getprop says, beside the usual.
    """

    def __init__(
        self,
        root: Path,
        *,
        features: tuple[str, ...] = NEWER_FEATURES,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self.sandbox = Sandbox(root, properties or {})
        self.faults = Faults()
        self.services: list[str] = []
        self.ignored = 0
        self._features = features
        self._properties = {**PROPERTIES, **(properties or {})}
        self._numbers = itertools.count(1)
        self._links: set[socket.socket] = set()
        self._port = 0
        self._listener: socket.socket | None = None

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def is_plugged_in(self) -> bool:
        return self._listener is not None

    def plug_in(self) -> None:
        """Listen, on the same port as before."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self._port))
            self._port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def unplug(self) -> None:
        """Listen no more, and end every connection."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.drop_links()

    def drop_links(self) -> None:
        """End every connection; adb may connect again."""
        for link in list(self._links):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.unplug()
        self.sandbox.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links.add(link)
            threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def _talk(self, link: socket.socket) -> None:
        streams: dict[int, Stream] = {}
        lock = threading.Lock()
        try:
            while True:
                self._answer(read_packet(link), link, lock, streams)
        except LinkClosedError:
            pass
        finally:
            for stream in streams.values():
                stream.end()
            self._links.discard(link)
            link.close()

    def _answer(self, packet: Packet, link: socket.socket, lock: threading.Lock, streams: dict[int, Stream]) -> None:
        if packet.command == b"CNXN":
            self._greet(link, lock)
        elif packet.command == b"AUTH" and self.faults.has(FaultKind.UNAUTHORIZED):
            if packet.arg0 == 2:
                self._ask_for_key(link, lock)
        elif packet.command == b"OPEN":
            self._open(packet, link, lock, streams)
        elif packet.arg1 in streams:
            streams[packet.arg1].take(packet)
            if packet.command == b"CLSE":
                streams.pop(packet.arg1)

    def _greet(self, link: socket.socket, lock: threading.Lock) -> None:
        if self.faults.has(FaultKind.OFFLINE):
            self.ignored += 1
            return
        if self.faults.has(FaultKind.UNAUTHORIZED):
            self._ask_for_key(link, lock)
            return
        words = {
            "ro.product.name": "sim_phone",
            "ro.product.model": self._properties["ro.product.model"],
            "ro.product.device": "sim",
            "features": ",".join(self._features),
        }
        banner = "device::" + "".join(f"{name}={value};" for name, value in words.items())
        with lock:
            write_packet(link, Packet(b"CNXN", VERSION, MAX_DATA, banner.encode()))

    def _ask_for_key(self, link: socket.socket, lock: threading.Lock) -> None:
        """Nobody touches the screen: every signature is refused, and a key is never accepted."""
        with lock:
            write_packet(link, Packet(b"AUTH", _AUTH_TOKEN, 0, os.urandom(20)))

    def _open(self, packet: Packet, link: socket.socket, lock: threading.Lock, streams: dict[int, Stream]) -> None:
        service = packet.data.rstrip(b"\0").decode("utf-8", "replace")
        self.services.append(service)
        self._meet_link_fault(self.faults.meet("any", AT_ANY))
        stream = Stream(link, lock, next(self._numbers), packet.arg0)
        if not service.startswith(("shell", "exec:", "sync:")):
            with lock:
                write_packet(link, Packet(b"CLSE", 0, packet.arg0))
            return
        streams[stream.local] = stream
        stream.send(b"OKAY")
        threading.Thread(target=self._serve, args=(stream, service), daemon=True).start()

    def _meet_link_fault(self, fault: Fault | None) -> None:
        if fault is None:
            return
        if fault.kind is FaultKind.UNPLUG:
            self.unplug()
        else:
            self.drop_links()
        raise LinkClosedError("as a fault demands")

    def _serve(self, stream: Stream, service: str) -> None:
        try:
            if service.startswith("sync:"):
                serve_sync(stream, self.sandbox, self.faults)
            else:
                serve_shell(stream, service, self.sandbox, self.faults)
        except LinkClosedError:
            return
        finally:
            with suppress(LinkClosedError):
                stream.close()
