"""shell: and exec: - one command line, its outputs apart (shell,v2) or together.

    shell,v2 packets: kind (0 stdin, 1 stdout, 2 stderr, 3 exit code, 4 close stdin, 5 window size) | length | data

As on a phone, a program goes on when its stream is closed.
"""

from __future__ import annotations

import struct
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from simulated_phone.faults import AT_SHELL, FaultKind, Faults
from simulated_phone.packets import LinkClosedError, Stream
from simulated_phone.sandbox import Sandbox

_PACKET = struct.Struct("<BI")
_STDOUT, _STDERR, _EXIT = 1, 2, 3
_CHUNK_BYTES = 16 * 1024


def serve_shell(stream: Stream, service: str, sandbox: Sandbox, faults: Faults) -> None:
    """Run the command of `shell,v2,raw:COMMAND`, `shell:COMMAND` or `exec:COMMAND`."""
    kind, command = service.split(":", 1)
    apart = "v2" in kind.split(",")
    fault = faults.meet("shell", AT_SHELL)
    process = sandbox.start(command, merge=not apart)
    if process.stdin is not None:
        process.stdin.close()
    if fault is not None and fault.kind is FaultKind.SHELL_DROP:
        return
    if fault is not None and fault.kind is FaultKind.SHELL_HANG:
        stream.closed.wait()
        return
    send = _sender(stream, apart)
    lose_tail = fault is not None and fault.kind is FaultKind.LOSE_TAIL
    readers = [threading.Thread(target=_forward, args=(process.stdout, lambda data: send(_STDOUT, data), lose_tail))]
    if apart:
        readers.append(threading.Thread(target=_forward, args=(process.stderr, lambda data: send(_STDERR, data), False)))
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    code = _exit_code(process, stream)
    if apart and code is not None and not (fault is not None and fault.kind is FaultKind.LOSE_EXIT):
        with suppress(LinkClosedError):
            send(_EXIT, bytes([code]))


def _sender(stream: Stream, apart: bool) -> Callable[[int, bytes], None]:
    lock = threading.Lock()

    def send(kind: int, data: bytes) -> None:
        with lock:
            stream.write(_PACKET.pack(kind, len(data)) + data if apart else data)

    return send


def _forward(source: IO[bytes] | None, send: Callable[[bytes], None], lose_tail: bool) -> None:
    """Pass a program's output on; without its last 20 bytes when the tail is lost."""
    if source is None:
        return
    with suppress(LinkClosedError, OSError, ValueError), source:
        if lose_tail:
            send(source.read()[:-20])
            return
        while chunk := source.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
            send(chunk)


def _exit_code(process: subprocess.Popen[bytes], stream: Stream) -> int | None:
    """The exit code; None when the stream is closed before it comes."""
    while not stream.closed.is_set():
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(0.2)
            return code if code >= 0 else 128 - code
    return None
