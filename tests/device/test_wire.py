"""The serial protocols without a port: what is encoded is decoded, and no bytes of a device can do more than raise LinkError."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from edgecompress.device import wire
from edgecompress.errors import LinkError

INFO = f"ok version=1 name=kws engine=aot sha256={'0f' * 32} arena=16000 inputs=1 outputs=2 steps=13 chunk=192 window=4 status=0"
PARSERS = (
    wire.decode_answer,
    wire.parse_info,
    wire.parse_clock,
    wire.parse_tensor,
    wire.parse_memory,
    wire.parse_lap,
    wire.parse_results,
    wire.parse_name,
    wire.parse_firmware,
    wire.parse_model,
    wire.parse_error,
    wire.refusal,
    lambda text: wire.parse_numbers(text, 2),
    lambda text: wire.parse_data(text, 3),
)


def test_frames_carry_sequence_length_and_crc() -> None:
    """A request is byte for byte what docs/serial.md shows."""
    assert wire.encode_frame(1, "info") == b"ec 01 0004 info 7e3dd56e%"
    assert wire.load_body(0, 192, b"\x00\xff\x10") == "load 0 192 AP8Q"


def test_answers_come_back_whole() -> None:
    """What the device encodes is decoded to the same sequence and body."""
    for sequence, body in ((0, "ok"), (255, "ok 1 2 3"), (7, "x" * wire.MAX_BODY_CHARS)):
        assert wire.decode_answer(wire.encode_answer(sequence, body)) == wire.Answer(sequence, body)


def test_every_damaged_character_is_noticed() -> None:
    """Whichever single character of an answer changes, the frame is refused."""
    line = wire.encode_answer(5, "ok 12345 AP8Q")
    for at in range(len(line)):
        damaged = line[:at] + ("1" if line[at] != "1" else "2") + line[at + 1 :]
        with pytest.raises(LinkError):
            wire.decode_answer(damaged)


def test_lost_characters_are_noticed() -> None:
    """An answer that lost any one character is refused."""
    line = wire.encode_answer(5, "ok 12345 AP8Q")
    for at in range(len(line)):
        with pytest.raises(LinkError):
            wire.decode_answer(line[:at] + line[at + 1 :])


@pytest.mark.parametrize("body", ["50%", "zwei\n", "größe", "x" * (wire.MAX_BODY_CHARS + 1)])
def test_a_body_cannot_break_the_framing(body: str) -> None:
    """Text that the framing itself uses, or that is too long, is refused before it is sent."""
    with pytest.raises(ValueError, match="frame"):
        wire.encode_frame(0, body)


def test_lines_are_cut_at_line_ends_only() -> None:
    """However the bytes arrive, the lines are the same; CR and NUL are dropped."""
    data = b"m-ready\r\n\0m-lap-us-12\r\npart"
    for size in range(1, len(data) + 1):
        reader = wire.LineReader()
        lines = [line for at in range(0, len(data), size) for line in reader.feed(data[at : at + size])]
        assert lines == ["m-ready", "m-lap-us-12"]
        assert reader.partial == "part"


def test_an_endless_line_is_bounded() -> None:
    """A device that never ends its line is an error, and the reader keeps at most its limit."""
    reader = wire.LineReader(limit=100)
    with pytest.raises(LinkError, match="100 bytes"):
        for _ in range(100):
            reader.feed(b"garbage")
    assert reader.feed(b"m-ready\n") == ["m-ready"]


def test_info_is_read() -> None:
    """The fields of `info` arrive with their types."""
    info = wire.parse_info(INFO)
    assert (info.name, info.engine.value, info.arena_bytes, info.outputs, info.window) == ("kws", "aot", 16000, 2, 4)


@pytest.mark.parametrize(
    "change",
    [
        ("version=1", "version=2"),
        ("engine=aot", "engine=other"),
        ("arena=16000", "arena=-1"),
        ("arena=16000", "arena=99999999999999999999"),
        ("inputs=1", "inputs=1000"),
        ("chunk=192", "chunk=0"),
        ("chunk=192", "chunk=100000"),
        ("window=4", ""),
        ("steps=13", "steps=1_3"),
        ("0f0f", "0g0f"),
    ],
)
def test_info_out_of_range_is_refused(change: tuple[str, str]) -> None:
    """A field that is missing, of the wrong form or out of bounds is a LinkError, not a surprise later."""
    with pytest.raises(LinkError):
        wire.parse_info(INFO.replace(*change))


def test_tensors_are_read() -> None:
    """Scale bits become the float that they are; a scale of 0 means that the tensor is not quantized."""
    spec = wire.parse_tensor("ok bytes=12 dtype=1 scale=3d800000 zero_point=-128")
    assert (spec.bytes, spec.scale, spec.zero_point) == (12, 0.0625, -128)
    assert wire.parse_tensor("ok bytes=12 dtype=0 scale=00000000 zero_point=0").scale is None
    with pytest.raises(LinkError, match="finite"):
        wire.parse_tensor("ok bytes=12 dtype=1 scale=7f800000 zero_point=0")


def test_results_are_read() -> None:
    """The values of a result line arrive; a line with anything else in it is refused."""
    assert wire.parse_results("m-results-[0.125,-0.000,12.5]") == (0.125, -0.0, 12.5)
    assert wire.parse_results("m-ready") is None
    with pytest.raises(LinkError):
        wire.parse_results("m-results-[0.125,,1e9]")


def test_random_bytes_never_do_more_than_raise() -> None:
    """20,000 random and mutated lines through every parser: LinkError or a value, nothing else."""
    rng = random.Random(1)
    seeds = [INFO, wire.encode_answer(5, INFO), "m-results-[0.1,0.2]", "ok 1 2", "ok AAAA", "ok stack=1 arena_touched=2", "m-lap-us-12"]
    for _ in range(20_000):
        text = bytearray(rng.choice(seeds).encode())
        for _ in range(rng.randrange(6)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        if rng.random() < 0.3:
            del text[rng.randrange(len(text)) :]
        for line in wire.LineReader().feed(bytes(text) + b"\n"):
            parse = rng.choice(PARSERS)
            with suppress(LinkError):
                parse(line)
