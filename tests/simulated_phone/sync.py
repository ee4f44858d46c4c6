"""sync: - files. Requests are a four-letter id, a length, and a path.

    STAT LST2 STA2     what is there
    LIST LIS2          a folder's entries, DENT or DNT2 each, then DONE
    SEND SND2          DATA length bytes ..., DONE mtime; answered by OKAY or FAIL length text
    RECV RCV2          answered by DATA length bytes ..., DONE

After a FAIL in the middle of SEND, what still comes is swallowed up to its DONE.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from simulated_phone.faults import AT_PULL, AT_PUSH, Fault, FaultKind, Faults
from simulated_phone.packets import LinkClosedError, Stream
from simulated_phone.sandbox import Sandbox

_CHUNK_BYTES = 64 * 1024
# A chunk, over a slow link.
_SLOW_S = 0.005
_STAT_V2 = struct.Struct("<I2Q4IQ3q")


class DropError(Exception):
    """The stream is closed in the middle, as a fault demands."""


def serve_sync(stream: Stream, sandbox: Sandbox, faults: Faults) -> None:
    """Answer requests until QUIT."""
    while True:
        request, length = struct.unpack("<4sI", stream.read(8))
        if request == b"QUIT":
            return
        name = stream.read(length).decode("utf-8", "replace")
        try:
            if request in (b"STAT", b"LST2", b"STA2"):
                stream.write(_stat(request, sandbox.path(name)))
            elif request in (b"LIST", b"LIS2"):
                stream.write(_list(request, sandbox.path(name)))
            elif request in (b"SEND", b"SND2"):
                _receive_file(stream, request, name, sandbox, faults.meet("push", AT_PUSH))
            elif request in (b"RECV", b"RCV2"):
                _send_file(stream, request, sandbox.path(name), faults.meet("pull", AT_PULL))
            else:
                stream.write(_fail(f"unknown request {request!r}"))
        except DropError:
            return


def _fail(text: str) -> bytes:
    return struct.pack("<4sI", b"FAIL", len(text)) + text.encode()


def _look(path: Path, *, follow: bool) -> os.stat_result | OSError:
    try:
        return path.stat() if follow else path.lstat()
    except OSError as e:
        return e


def _fields(found: os.stat_result | OSError) -> bytes:
    if isinstance(found, OSError):
        return _STAT_V2.pack(found.errno or 5, *(0,) * 10)
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    return _STAT_V2.pack(0, found.st_dev, found.st_ino, found.st_mode, found.st_nlink, 2000, 2000, found.st_size, *times)


def _stat(request: bytes, path: Path) -> bytes:
    found = _look(path, follow=request == b"STA2")
    if request != b"STAT":
        return request + _fields(found)
    numbers = (0, 0, 0) if isinstance(found, OSError) else (found.st_mode, found.st_size, int(found.st_mtime))
    return struct.pack("<4s3I", b"STAT", *numbers)


def _list(request: bytes, folder: Path) -> bytes:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    answer = b""
    for path in entries:
        found, name = _look(path, follow=False), path.name.encode()
        if request == b"LIS2":
            answer += b"DNT2" + _fields(found) + struct.pack("<I", len(name)) + name
        elif not isinstance(found, OSError):
            answer += struct.pack("<4s4I", b"DENT", found.st_mode, found.st_size, int(found.st_mtime), len(name)) + name
    return answer + b"DONE" + bytes(76 if request == b"LIS2" else 16)


def _receive_file(stream: Stream, request: bytes, name: str, sandbox: Sandbox, fault: Fault | None) -> None:
    """SEND: a file from adb."""
    if request == b"SND2":
        stream.read(12)
    else:
        name = name.rpartition(",")[0]
    path = sandbox.path(name)
    if fault is not None and fault.kind is FaultKind.NO_SPACE:
        _refuse(stream, path, "write failed: No space left on device", fault.after_bytes)
        return
    try:
        with path.open("wb") as file:
            for data in _damaged(_chunks(stream), fault, stream):
                file.write(data)
    except OSError as e:
        _refuse(stream, None, f"couldn't create file: {e.strerror}", 0)
        return
    stream.write(struct.pack("<4sI", b"OKAY", 0))


def _chunks(stream: Stream) -> Iterator[bytes]:
    """The DATA of a file that adb sends, up to its DONE."""
    while True:
        kind, length = struct.unpack("<4sI", stream.read(8))
        if kind != b"DATA":
            return
        yield stream.read(length)


def _damaged(chunks: Iterable[bytes], fault: Fault | None, stream: Stream) -> Iterator[bytes]:
    """A file's chunks, with what a fault does to the one that holds byte `after_bytes`."""
    at, met = 0, False
    for data in chunks:
        if fault is not None and fault.kind is FaultKind.PUSH_SLOW:
            time.sleep(_SLOW_S)
        elif fault is not None and not met and at + len(data) > fault.after_bytes:
            met = True
            data = _damage(data, fault, fault.after_bytes - at, stream)
        cut = fault is not None and fault.kind is FaultKind.PUSH_TRUNCATE and at > fault.after_bytes
        yield b"" if cut else data
        at += len(data)


def _damage(data: bytes, fault: Fault, inside: int, stream: Stream) -> bytes:
    if fault.kind in (FaultKind.PUSH_DROP, FaultKind.PULL_DROP):
        raise DropError
    if fault.kind in (FaultKind.PUSH_HANG, FaultKind.PULL_HANG):
        stream.closed.wait()
        raise LinkClosedError("hung until adb gave up")
    if fault.kind is FaultKind.PUSH_TRUNCATE:
        return data[:inside]
    return data[:inside] + bytes([data[inside] ^ 0x10]) + data[inside + 1 :]


def _refuse(stream: Stream, path: Path | None, text: str, after_bytes: int) -> None:
    """Say FAIL after so many bytes, then swallow the rest; the part that was written stays."""
    at, said = 0, False
    kept = b""
    for data in _chunks(stream):
        if not said and at + len(data) > after_bytes:
            kept += data[: after_bytes - at]
            stream.write(_fail(text))
            said = True
        elif not said:
            kept += data
        at += len(data)
    if not said:
        stream.write(_fail(text))
    if path is not None:
        path.write_bytes(kept)


def _send_file(stream: Stream, request: bytes, path: Path, fault: Fault | None) -> None:
    """RECV: a file to adb."""
    if request == b"RCV2":
        stream.read(8)
    found = _look(path, follow=True)
    if isinstance(found, OSError) or not stat.S_ISREG(found.st_mode):
        reason = found.strerror if isinstance(found, OSError) else "Is a directory"
        stream.write(_fail(f"open failed: {reason}"))
        return
    with path.open("rb") as file:
        chunks = iter(lambda: file.read(_CHUNK_BYTES), b"")
        for data in _damaged(chunks, fault, stream):
            stream.write(struct.pack("<4sI", b"DATA", len(data)) + data)
    stream.write(struct.pack("<4sI", b"DONE", 0))
