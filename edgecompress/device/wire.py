"""The serial protocols as text and bytes, without a port: checked frames of our own, and MLPerf Tiny's lines.

    host -> device   ec SS LLLL BODY CCCCCCCC%         SS sequence, LLLL length of BODY, CCCCCCCC CRC-32 of "SS LLLL BODY", in hex
    device -> host   m-ec-[SS LLLL BODY CCCCCCCC]      ... then the line m-ready, as after every command

docs/serial.md draws them; the C twin is firmware/app/frame.c. Whatever comes from a device is untrusted: each function here checks form,
size and range, and raises LinkError otherwise.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
import zlib
from dataclasses import dataclass

from edgecompress.artifact import Engine, TensorSpec
from edgecompress.errors import LinkError
from edgecompress.graph import DType

END = "%"
READY = "m-ready"
BOOTED = "m-init-done"
RUNNING = "running"
"""The body of the first of two answers to what takes as long as an inference."""
PROTOCOL_VERSION = 1

# A line of results holds every element of an output in text; a longer line is not the protocol's.
MAX_LINE_BYTES = 1 << 20
MAX_BODY_CHARS = 320
MAX_CHUNK_BYTES = 192
MAX_WINDOW = 64
MAX_TENSORS = 32
MAX_TENSOR_BYTES = 1 << 28
MAX_STEPS = 1 << 16
MAX_TICKS = 1 << 63

_REPLY = re.compile(r"m-ec-\[([0-9a-f]{2}) ([0-9a-f]{4}) (.*) ([0-9a-f]{8})\]", re.ASCII | re.DOTALL)
_LAP = re.compile(r"m-lap-us-([0-9]{1,20})", re.ASCII)
_NUMBER = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{1,20})?|inf|nan)", re.ASCII)
_NAME = re.compile(r"m-name-dut-\[([^\]]{0,200})\]")
_FIRMWARE = re.compile(r"m-profile-\[([^\]]{0,200})\]")
_MODEL = re.compile(r"m-model-\[([^\]]{0,200})\]")

_DTYPES = (DType.FLOAT32, DType.INT8, DType.UINT8, DType.INT16, DType.INT32)
"""enum ec_dtype of firmware/include/ec_model.h."""


@dataclass(frozen=True)
class Answer:
    """One frame from the device whose length and CRC are right."""

    sequence: int
    body: str


@dataclass(frozen=True)
class Info:
    """What `info` answers: the model, and what the link can carry."""

    name: str
    engine: Engine
    sha256: str
    arena_bytes: int
    inputs: int
    outputs: int
    steps: int
    chunk_bytes: int
    window: int
    status: int


@dataclass(frozen=True)
class Clock:
    """What `clock` answers. `clock_hz` is None where the device has no meaningful clock: an emulator."""

    target: str
    ticks_hz: int
    clock_hz: int | None


@dataclass(frozen=True)
class Memory:
    """What `memory` answers, in bytes."""

    stack: int
    arena_touched: int


# ---- lines ----


class LineReader:
    """Bytes in, lines out, with a bound on what is kept.

    A line ends with LF; CR and NUL are dropped. Bytes above ASCII become `?`: no line of either protocol holds them.
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._partial = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes.

        Raises:
            LinkError: a line exceeds the limit; what was collected is dropped.
        """
        lines = []
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._keep(part)
            lines.append(self.partial)
            self._partial.clear()
        self._keep(rest)
        return lines

    @property
    def partial(self) -> str:
        """The beginning of a line that has not ended yet."""
        return bytes(self._partial.translate(None, b"\r\0")).decode("ascii", "replace").replace("\ufffd", "?")

    def _keep(self, part: bytes) -> None:
        if len(self._partial) + len(part) > self._limit:
            self._partial.clear()
            raise LinkError(
                f"the device sent a line of more than {self._limit:,} bytes",
                hint="check that the port and its baud rate are the right ones",
            )
        self._partial += part


def shown(text: str, limit: int = 100) -> str:
    """`text` as an error message may quote it: printable, and not long."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "".join(c if c.isprintable() else "?" for c in cut)


# ---- frames ----


def encode_frame(sequence: int, body: str) -> bytes:
    """A request as it goes on the wire.

    Raises:
        ValueError: a sequence outside [0, 255], a body that is too long, or a character that the framing uses.
    """
    if not 0 <= sequence <= 255 or len(body) > MAX_BODY_CHARS:
        raise ValueError(f"a frame takes a sequence of 0 to 255 and at most {MAX_BODY_CHARS} characters, not {sequence} and {len(body)}")
    if END in body or not body.isascii() or not body.isprintable():
        raise ValueError(f"a frame's body is printable ASCII without {END!r}, not {body!r}")
    checked = f"{sequence:02x} {len(body):04x} {body}"
    return f"ec {checked} {crc32(checked.encode()):08x}{END}".encode()


def encode_answer(sequence: int, body: str) -> str:
    """An answer's line, as the device writes it (without the line end)."""
    checked = f"{sequence:02x} {len(body):04x} {body}"
    return f"m-ec-[{checked} {crc32(checked.encode()):08x}]"


def is_answer(line: str) -> bool:
    """Whether a line wants to be a frame; `decode_answer` says whether it is one."""
    return line.startswith("m-ec-[")


def decode_answer(line: str) -> Answer:
    """The frame in a line.

    Raises:
        LinkError: it was damaged: form, length or CRC.
    """
    match = _REPLY.fullmatch(line)
    if match is None:
        raise _damaged("its form", line)
    sequence, length, body, crc = match.groups()
    if int(length, 16) != len(body) or len(body) > MAX_BODY_CHARS:
        raise _damaged(f"its length, {len(body)} instead of {int(length, 16)}", line)
    checked = f"{sequence} {length} {body}".encode("ascii", "replace")
    if crc32(checked) != int(crc, 16):
        raise _damaged(f"its CRC, {crc32(checked):08x} instead of {crc}", line)
    return Answer(int(sequence, 16), body)


def _damaged(what: str, line: str) -> LinkError:
    return LinkError(f"a frame from the device is damaged in {what}: {shown(line)}", hint="check the cable and the baud rate")


def crc32(data: bytes) -> int:
    """CRC-32 as Ethernet and zlib have it."""
    return zlib.crc32(data)


def load_body(index: int, offset: int, data: bytes) -> str:
    """The request that carries `data` to `offset` of an input."""
    return f"load {index} {offset} {base64.b64encode(data).decode('ascii')}"


# ---- what answers say ----


def refusal(body: str) -> str | None:
    """The words after `error`, or None when the device did what was asked."""
    return body.removeprefix("error").strip() if body == "error" or body.startswith("error ") else None


def parse_info(body: str) -> Info:
    """Read the answer to `info`. Raises LinkError."""
    fields = _fields(body)
    version = _whole(fields, "version", 1, 1 << 16)
    if version != PROTOCOL_VERSION:
        raise LinkError(
            f"the device speaks version {version} of edgecompress' frames; this program speaks {PROTOCOL_VERSION}",
            hint="build and flash the firmware again with this version of edgecompress",
        )
    sha256 = _word(fields, "sha256", r"[0-9a-f]{64}")
    engine = _word(fields, "engine", "|".join(engine.value for engine in Engine))
    return Info(
        name=_word(fields, "name", r"[^\s%\[\]]{1,128}"),
        engine=Engine(engine),
        sha256=sha256,
        arena_bytes=_whole(fields, "arena", 0, 1 << 32),
        inputs=_whole(fields, "inputs", 1, MAX_TENSORS),
        outputs=_whole(fields, "outputs", 1, MAX_TENSORS),
        steps=_whole(fields, "steps", 0, MAX_STEPS),
        chunk_bytes=_whole(fields, "chunk", 1, MAX_CHUNK_BYTES),
        window=_whole(fields, "window", 1, MAX_WINDOW),
        status=_whole(fields, "status", -(1 << 31), (1 << 31) - 1),
    )


def parse_clock(body: str) -> Clock:
    """Read the answer to `clock`. Raises LinkError."""
    fields = _fields(body)
    return Clock(
        target=_word(fields, "target", r"[^\s%\[\]]{1,64}"),
        ticks_hz=_whole(fields, "ticks_hz", 1, 1 << 32),
        clock_hz=_whole(fields, "clock_hz", 0, 1 << 32) or None,
    )


def parse_tensor(body: str) -> TensorSpec:
    """Read the answer to `input` or `output`: the bytes are true, name and shape are not known. Raises LinkError."""
    fields = _fields(body)
    count = _whole(fields, "bytes", 1, MAX_TENSOR_BYTES)
    dtype = _DTYPES[_whole(fields, "dtype", 0, len(_DTYPES) - 1)]
    (scale,) = struct.unpack("<f", struct.pack("<I", int(_word(fields, "scale", r"[0-9a-f]{8}"), 16)))
    zero_point = _whole(fields, "zero_point", -(1 << 31), (1 << 31) - 1)
    if not math.isfinite(scale) or scale < 0:
        raise LinkError(f"the device's answer has scale={scale}; a scale is a finite number above 0", hint=_OTHER_VERSION)
    quantized = scale > 0
    return TensorSpec("", (count,), dtype, count, scale if quantized else None, zero_point if quantized else None)


def parse_memory(body: str) -> Memory:
    """Read the answer to `memory`. Raises LinkError."""
    fields = _fields(body)
    return Memory(_whole(fields, "stack", 0, 1 << 32), _whole(fields, "arena_touched", 0, 1 << 32))


def parse_numbers(body: str, count: int, limit: int = MAX_TICKS) -> list[int]:
    """`ok N N ...` with exactly `count` numbers. Raises LinkError."""
    words = body.split(" ")
    if len(words) != count + 1 or words[0] != "ok" or not all(re.fullmatch("[0-9]{1,20}", word, re.ASCII) for word in words[1:]):
        raise LinkError(f"expected ok and {count} number(s) from the device; it sent: {shown(body)}", hint=_OTHER_VERSION)
    numbers = [int(word) for word in words[1:]]
    if any(number > limit for number in numbers):
        raise LinkError(f"the device sent a number above {limit}: {shown(body)}", hint=_OTHER_VERSION)
    return numbers


def parse_data(body: str, count: int) -> bytes:
    """`ok BASE64` with exactly `count` bytes. Raises LinkError."""
    status, _, text = body.partition(" ")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as e:
        raise LinkError(f"the device sent bytes that are not base64: {shown(body)}", hint=_OTHER_VERSION) from e
    if status != "ok" or len(data) != count:
        raise LinkError(f"expected {count} bytes from the device; it sent {len(data)}: {shown(body)}", hint=_OTHER_VERSION)
    return data


_OTHER_VERSION = "build and flash the firmware again with this version of edgecompress"


def _fields(body: str) -> dict[str, str]:
    """`ok a=1 b=2` as a mapping."""
    status, *words = body.split(" ")
    pairs = [word.partition("=") for word in words]
    if status != "ok" or any(not separator for _, separator, _ in pairs):
        raise LinkError(f"expected ok and fields from the device; it sent: {shown(body)}", hint=_OTHER_VERSION)
    return {name: value for name, _, value in pairs}


def _word(fields: dict[str, str], name: str, pattern: str) -> str:
    value = fields.get(name)
    if value is None or re.fullmatch(pattern, value, re.ASCII) is None:
        came = "nothing" if value is None else shown(value)
        raise LinkError(f"expected {name}={pattern} in the device's answer; {came} came", hint=_OTHER_VERSION)
    return value


def _whole(fields: dict[str, str], name: str, low: int, high: int) -> int:
    value = int(_word(fields, name, "-?[0-9]{1,20}"))
    if not low <= value <= high:
        raise LinkError(f"expected {name} from {low} to {high} in the device's answer; {value} came", hint=_OTHER_VERSION)
    return value


# ---- MLPerf Tiny ----


def encode_command(command: str) -> bytes:
    """A command of MLPerf Tiny as it goes on the wire.

    Raises:
        ValueError: a character that would end it early, or that is not printable ASCII.
    """
    if END in command or not command.isascii() or not command.isprintable():
        raise ValueError(f"a command is printable ASCII without {END!r}, not {command!r}")
    return (command + END).encode("ascii")


def parse_lap(line: str) -> int | None:
    """Microseconds of an `m-lap-us-N` line; None for any other line."""
    match = _LAP.fullmatch(line)
    return None if match is None else int(match[1])


def parse_results(line: str) -> tuple[float, ...] | None:
    """Values of an `m-results-[v,v,...]` line; None for any other line.

    Raises:
        LinkError: the line holds something that is not a number.
    """
    if not line.startswith("m-results-["):
        return None
    words = line.removeprefix("m-results-[").removesuffix("]").split(",")
    if not line.endswith("]") or not all(_NUMBER.fullmatch(word.strip()) for word in words):
        raise LinkError(f"expected m-results-[v,v,...] from the device; it sent: {shown(line)}", hint="check the cable and the baud rate")
    return tuple(float(word) for word in words)


def parse_name(line: str) -> str | None:
    """The vendor of an `m-name-dut-[...]` line; None for any other line."""
    match = _NAME.fullmatch(line)
    return None if match is None else match[1]


def parse_firmware(line: str) -> str | None:
    """The firmware's version in an `m-profile-[...]` line; None for any other line."""
    match = _FIRMWARE.fullmatch(line)
    return None if match is None else match[1]


def parse_model(line: str) -> str | None:
    """The model's id in an `m-model-[...]` line; None for any other line."""
    match = _MODEL.fullmatch(line)
    return None if match is None else match[1]


def parse_error(line: str) -> str | None:
    """What an `e-[...]` line complains of; None for any other line."""
    return line.removeprefix("e-[").removesuffix("]") if line.startswith("e-[") else None
